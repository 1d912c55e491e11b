"""A sans-IO HTTP/2 connection for gRPC, both roles: bytes in, events out; method calls in, bytes out.

What it knows: the frames of RFC 9113, the header compression of RFC 7541, the states of streams, who may send how
much, what a header list must look like, and what one peer may cost us. What it must not know: sockets, event loops,
threads, clocks, and what the calls it carries are about. Whoever owns the socket feeds what was read to
`Connection.receive` and writes what `Connection.data_to_send` returns; whoever owns a clock decides when a peer that
says nothing is dead.

The theory, in the order of the files:

``codes``       error codes, frame types, flags, settings: the numbers of the protocol, and the limits of settings
``errors``      whose fault it is: a `ConnectionViolation` or `StreamViolation` is the peer's and never leaves this
                package, it becomes a GOAWAY or RST_STREAM and an event; a `Misuse` is the caller's, and is raised
``events``      what the peer did, one plain record each
``limits``      what a peer may cost us, each number with its reason
``budget``      floods: work that only costs is paid from a budget, which useful work fills again
``frames``      the rules of each frame as a table, and how frames are written
``reader``      bytes cut anywhere → frames; DATA is handed on as it comes, without a copy
``hpack_decoder``, ``hpack_encoder``, ``hpack_huffman``   header lists ↔ blocks of bytes
``headers``     what makes a header list a request, a response or trailers
``streams``     the states of a stream, and what each state makes of each frame, as tables
``flow``        windows
``settings``, ``preface``   what the peer says of itself; a client's first bytes
``state``       all that a connection remembers, in one place
``stream_frames``, ``connection_frames``, ``receiver``   the engines that apply the tables to a frame
``connection``  `Connection`, the only class that callers need

and gRPC on top of it, which `Connection` does not know:

``grpc_messages``  length-prefixed messages
``grpc_headers``   which requests are gRPC's, timeouts, percent-encoding
``grpc_ending``    how a call ends: trailers, and responses that consist of them
``grpc_status``    HTTP status and HTTP/2 error code → gRPC status

A stream lives through these states; its identifier says who opened it (odd: the client; nobody pushes here).

    idle ──HEADERS──► open ──END_STREAM received──► half-closed (remote) ──END_STREAM sent──────► closed
                       └─────END_STREAM sent──────► half-closed (local) ───END_STREAM received──► closed
    any ──RST_STREAM sent or received──► closed

Three promises hold for whatever bytes come in. Nothing but the events leaves `receive`: no exception, ever. Memory is
bounded: by the windows for data, by `Limits` for all else. A stream's error ends that stream and touches no other.
"""
