"""`tailgate probe`: what a running V2 server does with deadlines, cancels, overload and malformed requests.

Measuring and judging are apart. The shells (`caller`, `patient`, `trials`, `groups`, `bursts`, `refusals`, `course`)
ask a server over gRPC and write down what they see, as the plain records of `seen`. What that means is decided by pure
functions of such records (`shares`, `judge_*`, `profile`), which know of no clock and no socket.
"""
