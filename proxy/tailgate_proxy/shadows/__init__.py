"""Shadows: copies of requests that go to another upstream, whose answers nobody gets, and which are scored.

    shadows   which requests are mirrored, what that may cost, and the books of it
    mirror    one request, from the first piece that is copied to the end of its copy
    labels    where copies meet labels that are given afterwards

A client never waits for its shadow, and never learns of it. What shadows come to stands in books of their own.
"""
