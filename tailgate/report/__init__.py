"""`tailgate report`: what traces say about quality and its tail, as one page, two figures and one JSON file.

`source` reads a folder; `analysis` turns records into numbers, `warnings` says what limits them, `summary` turns them
into JSON, `figures` into SVG and `render` into HTML; `command` is the shell around them. Only `figures` and `render`
import matplotlib and jinja2, and only the command's `run` imports these two, so that the other commands start quickly.
"""
