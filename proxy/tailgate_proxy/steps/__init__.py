"""What is decided about a request, step by step; `tailgate_proxy.pipeline` puts the steps in order."""
