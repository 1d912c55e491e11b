"""Tailgate: time-critical accuracy and its tail, for models that answer under deadlines.

This package is the core: words, rules and mathematics. It has no event loop, opens no socket, imports no torch and
reads no clock; time is an argument. The server, the proxy and the load generator are packages of their own around it.
"""

__version__ = "0.1.0"
