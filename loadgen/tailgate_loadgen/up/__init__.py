"""`tailgate up`: everything on this machine, to look at: server, proxy, load, and Prometheus where it is installed.

Lives here: which processes there are, and how they are told of each other. Their work must not.
"""
