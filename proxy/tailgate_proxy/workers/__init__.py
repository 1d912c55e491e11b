"""Several processes on one port: a supervisor that serves nothing, and workers that are each a whole proxy.

    plan, restarts, discovery   decide: who runs where, when one starts again, what Prometheus is told
    port, meeting               what all share: the port, and a folder for sockets to each other
    process, supervisor         the supervisor's side: a process started, all kept running
    worker                      the other side: the program a worker process runs
    handover                    what the two say to each other, over two pipes

A worker is a fresh interpreter, never a fork: threads and event loops do not survive one. The pipe that hands a worker
its configuration stays open; when it closes, the supervisor is gone, however it went, and the worker drains.

This file imports nothing, so that a worker pins itself to its core before any library starts a thread.
"""
