"""Who gets what, decided on numbers: admission, the choice among upstreams, their health, retries.

Small state machines and pure functions in which time is an argument. No event loop, socket or clock must live here, nor
what a request is: only what a decision rests on.
"""
