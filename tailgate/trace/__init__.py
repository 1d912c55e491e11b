"""Traces: one fixed-size record for every observation, appended to a file that survives its writer's sudden death.

`format` is the layout as pure functions between bytes and arrays; `files` writes and reads files; `recorder` is the
thread that keeps writing off everybody's path; `views` turns records into what `tailgate.quality` takes. Afterwards
`info` says what a trace holds, `recovery` cuts out what is damaged, `convert` and `parquet` write passes for others.
"""
