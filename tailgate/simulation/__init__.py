"""Servers and clients made of numbers, on a clock that jumps: hours in seconds, the same for the same seed.

Must not live here: anything that decides. What is tested with these are the very classes that run in production.
"""
