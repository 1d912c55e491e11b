"""promtool's unit tests of the rules: for each alert, what makes it fire and what does not.

They are written for a configuration's window and scrape interval, so that what is deployed is what was tested.
"""
