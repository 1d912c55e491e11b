"""`tailgate report`: what traces say about quality and its tail, as one page, with its numbers beside it.

`source` reads a folder. `analysis` and `labelled` turn records into what heads a system's report, `numbers` into what
stands under its figures; `system` is both, `exhibits` the figures of all systems, in the page's order, with the reasons
why one is missing. `headline` and `warnings` say it in sentences, `summary` in JSON, `figures` in pictures, `render` in
HTML; `command` is the shell around them. Only `figures` and `render` import matplotlib and jinja2, and only the
command's `run` imports these two, so that the other commands start quickly.
"""
