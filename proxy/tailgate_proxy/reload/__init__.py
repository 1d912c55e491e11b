"""Another configuration while the proxy runs: what may change, where it comes from, and when it is read.

What is done with it is `tailgate_proxy.current`'s.
"""
