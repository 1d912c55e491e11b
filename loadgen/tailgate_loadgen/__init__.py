"""The load generator: replays a labelled data set in open loop and scores every answer right *and* in time.

What is decided lives in pure modules (`schedule`, `timeouts`, `fitting`, `summary`, `options`); sockets, timers, files
and the screen live in `pacer`, `sender`, `target`, `datasets` and `screen`; `run` wires them together.
"""
