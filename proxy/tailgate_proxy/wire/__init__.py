"""The data plane's shells: sockets and timers around `tailgate.http2`. Nothing is decided here.

`link` is one connection of either role; `inbound` serves clients on it, `outbound` calls an upstream; `hang_up` sees at
the socket that a client has gone.
"""
