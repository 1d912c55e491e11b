"""The numbers of the report's figures, one module each: arrays in, a dataclass and its table out. Nothing is drawn.

What a run cannot support is `tailgate.report.missing.Missing`, with the reason.
"""
