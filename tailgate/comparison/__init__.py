"""The comparison of runs: what a model, a condition or a device does to quality, to its tail, and to who is better.

`folders` names the runs; `measures` puts numbers on one; `effects` compares two of them, `permutation` says how likely
chance is to do as much; `crossovers` finds models whose order flips; `report` gathers all of it; `tables` prints it.
"""
