"""A model server for the Open Inference Protocol (V2) over gRPC, around torch.

Decisions (what a request may be, what is in the next batch) are pure and hold no socket, loop or clock; `worker`,
`service` and `app` are the thin shells around them. Importing this package loads neither torch nor gRPC.
"""
