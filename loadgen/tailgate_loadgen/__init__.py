"""The load generator: replays a labelled data set in open loop and scores every answer right *and* in time.

What is decided lives in pure modules (`arrivals`, `schedule`, `timeouts`, `fitting`, `summary`, `options`, `shards`,
`search`); sockets, timers, files, processes and the screen live in `pacer`, `sender`, `target`, `datasets`,
`recording`, `condition`, `procs` and `screen`; `run`, `merge` and `search_run` wire them together.
"""
