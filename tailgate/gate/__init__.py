"""The gate: does a run hold what is required of its quality and of its quality's tail; for CI.

`requirements` reads what is required; `judge` decides, on numbers; `junit` and `markdown` tell it to others; `command`
is the shell.
"""
