"""What Tailgate knows of the Open Inference Protocol (V2): names, tensors, envelopes, answers.

Lives here: bytes and messages to numpy and back, and the metadata names that are Tailgate's own. Must not live here: a
connection, or anything that decides what becomes of a request.
"""
