"""`tailgate demo`: the whole path on real images in one command, with contention for the processor in the middle.

Everything runs as it would in earnest, as processes of its own started by their commands; the demo sets the stage,
watches through the proxy's status page, and reads the traces afterwards. It imports neither server nor proxy.
"""
