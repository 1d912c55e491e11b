"""V2 over HTTP: a second port for clients that do not speak gRPC.

Lives here: HTTP, by aiohttp, and what becomes of its header fields. An inference becomes the same arrival and the same
passage as one over gRPC, so that everything said of those holds for these. Must not live here: what the JSON means
(`tailgate.protocol.rest`), or any decision about a request.
"""
