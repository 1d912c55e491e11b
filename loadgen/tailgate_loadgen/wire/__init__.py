"""A client of calls on `tailgate.http2`, made for leaving at the instant: no task for a call, one write for each.

``call``        a call, from its preparation to its one end: state, no socket
``connection``  one HTTP/2 connection over an asyncio transport, with the calls on it
``client``      which connection a call goes to, waiting, reconnecting, and everybody's deadline
``address``     what the target's address means

It sends every request once, whatever becomes of it: what ends a call is the target's doing.
"""
