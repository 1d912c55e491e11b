"""Labels that come after the answer: by gRPC, by HTTP, and the desk where they meet their requests."""
