"""The live page: what one process sees now, and saw in the last hour, with nothing else installed.

`feed` makes the snapshots and deals them out; `page` serves them and the page; `static/` is the page. Nothing here
knows how a snapshot is made, and the page asks nobody but this process.
"""
