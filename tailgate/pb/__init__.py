"""Generated protobuf messages; `make stubs` writes them from protos/. Never edited by hand."""
