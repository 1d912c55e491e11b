"""Names that only V2 over HTTP knows."""

from __future__ import annotations

from typing import Final

from tailgate.errors import InvalidRequest

HEADER_LENGTH: Final = "inference-header-content-length"
"""Header of a request or an answer whose JSON is followed by binary tensors: how many bytes of JSON there are."""

TIMEOUT_MS: Final = "x-request-timeout-ms"
"""Header: a deadline in milliseconds from arrival, for clients that know no other."""

BINARY_SIZE: Final = "binary_data_size"
"""Parameter of a tensor in JSON: how many of the bytes behind the JSON are its own."""

BINARY: Final = "binary_data"
"""Parameter of a requested output: whether its tensor is to be binary."""

BINARY_OUTPUT: Final = "binary_data_output"
"""Parameter of a request: whether the tensors of outputs that do not say themselves are to be binary."""

_MOST_DIGITS: Final = 12


def parse_header_length(text: str) -> int:
    """Bytes of JSON, from the header's value.

    Raises:
        InvalidRequest: It is no count.

    >>> parse_header_length("170")
    170
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidRequest(
            f"Inference-Header-Content-Length is {text!r}; expected the length of the JSON in bytes, such as '170'"
        )
    return int(text)
