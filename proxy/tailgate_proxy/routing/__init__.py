"""Which requests go to which upstream: how that is configured, checked and shown. It is decided in
`tailgate.policy.routing`, and what is done for a request otherwise stands in `tailgate_proxy.routes`.
"""
