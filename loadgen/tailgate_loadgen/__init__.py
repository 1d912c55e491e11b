"""The load generator: replays a labelled data set in open loop and scores every answer right *and* in time.

What is decided lives in pure modules (`arrivals`, `schedule`, `timeouts`, `fitting`, `summary`, `options`, `shards`,
`search`, `capacity`, `stop_rule`); sockets, timers, files, processes and the screen live in `pacer`, `sender`, `wire`
and `grpc_client` (behind `calls`), `target`, `datasets`, `recording`, `calibration`, `condition`, `watch`, `procs` and
`screen`; `run`, `merge`, `calibrate` and `search_run` wire them together.
"""
