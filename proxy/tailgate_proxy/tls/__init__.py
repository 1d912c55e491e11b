"""TLS on both sides of the proxy: towards its clients (`Side.SERVER`) and towards the upstream (`Side.UPSTREAM`).

`files` says which files each side has, `certificates` judges what is in them, `contexts` makes the standard library's
contexts from them, `renewal` notices new files and puts them to use, `sides` is all of it as the proxy sees it. The
protocol itself is OpenSSL's; connections belong to `wire`.

Everything fails closed: a side that is to speak TLS never speaks anything else, and a handshake that does not agree on
HTTP/2 is no connection.
"""
