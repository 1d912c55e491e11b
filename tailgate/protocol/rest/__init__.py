"""V2 over HTTP: its JSON, with or without binary tensors behind it, to the messages of V2 over gRPC and back.

Lives here: pure translation of whole bodies. Must not live here: HTTP itself, or anything that decides what becomes of
a request. The binary form is that of the binary tensor data extension: the body begins with JSON, whose length a header
tells, and the tensors' bytes follow it one after the other, as they would lie in a gRPC message.
"""
