"""The audit of books: do a client, a proxy, an upstream and a proxy's metrics tell the same of every request?

`evidence` is what there is to compare, `reading` gets it from files; `requests`, `traces`, `counters` and `executions`
hold the invariants, each a pure function from evidence to a `finding`; `tables` prints them; `command` is the shell.
"""
