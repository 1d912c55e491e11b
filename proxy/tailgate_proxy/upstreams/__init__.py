"""What is behind the proxy: pools of servers that do the same, and the calls to them.

    pools     all pools by name, and which of them a request goes to
    pool      one pool: which member gets a call, which are asked how they are, what is made again
    places    where the members are: addresses, and host names that are resolved again and again
    member    one server of a pool, and what is known of it
    prober    asks it how it is
    attempt   one call to one member
    hedges    calls that are watched, for some are worth a second one
    asked     a call of the proxy's own, or one that is passed on whole
    upstream  the connections to one server

Decisions are `tailgate.policy`'s; here are the sockets, the timers and the clock.
"""
