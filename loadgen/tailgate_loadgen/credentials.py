"""What this client shows to the target, and whom it trusts: a token, and TLS. Options and files to values.

A token comes from a file, so that it stands in no list of processes and in no shell's history. From there it goes into
requests and nowhere else: no message, log, trace or summary repeats it, also where the target does.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tailgate.errors import ConfigError, Status, UsageError
from tailgate_loadgen.calls import Metadata
from tailgate_loadgen.tls import Tls

_TOKEN: Final = re.compile(rb"[\x21-\x7e]+")
_MOST_BYTES: Final = 8192
"""Of the file; servers take no longer headers."""
_HIDDEN: Final = "…"


@dataclass(frozen=True)
class Credentials:
    """What goes with calls to the target.

    Attributes:
        token: That requests carry; empty for none. It is read once, because a file may be a pipe.
        token_file: Where it was, for sentences.
        tls: What connections speak; None: no TLS.
    """

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    tls: Tls | None = None

    @property
    def metadata(self) -> Metadata:
        """Of every call (RFC 6750 §2.1)."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def without_token(self, text: str) -> str:
        """What somebody else said, fit to be shown.

        >>> Credentials("tg_1").without_token("tg_1 is unknown")
        '… is unknown'
        """
        return text.replace(self.token, _HIDDEN) if self.token else text

    def refusal(self, target: str, status: Status, said: str) -> UsageError | None:
        """What to tell the user where a status means that we are not let in; None where it does not.

        Args:
            target: What to call it.
            status: It answered with.
            said: Text of the status.
        """
        said = self.without_token(said)
        if status is Status.UNAUTHENTICATED and not self.token:
            return UsageError(f"{target} asks for a token ({said}); name the file that holds one with --token-file")
        if status is Status.UNAUTHENTICATED:
            return UsageError(
                f"{target} does not take the token of --token-file {self.token_file} ({said}); take one that it knows"
            )
        if status is Status.PERMISSION_DENIED and self.token:
            return UsageError(
                f"{target} does not let the token of --token-file {self.token_file} do this ({said}); take one that "
                "may infer"
            )
        if status is Status.PERMISSION_DENIED:
            return UsageError(f"{target} does not let this client in ({said}); see --token-file and --cert")
        return None


NO_CREDENTIALS: Final = Credentials()


def add_credential_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of which credentials are made."""
    add = parser.add_argument
    add("--token-file", type=Path, metavar="FILE", help="file that holds the bearer token to send, and nothing else")
    add("--tls", action="store_true", help="call the target over TLS")
    add("--ca", type=Path, metavar="FILE", help="authorities its certificate must be of (without it: the system's)")
    add("--cert", type=Path, metavar="FILE", help="certificate and chain to show to the target, in PEM")
    add("--key", type=Path, metavar="FILE", help="its private key, in PEM")
    add("--server-name", metavar="NAME", help="name the target's certificate must have (without it: the host)")


def read_credentials(namespace: argparse.Namespace) -> Credentials:
    """The options as checked values, with the token out of its file.

    Raises:
        ConfigError: Options do not go together, or a file cannot be used.
    """
    path: Path | None = namespace.token_file
    return Credentials("" if path is None else _read_token(path), path, _read_tls(namespace))


def _read_tls(namespace: argparse.Namespace) -> Tls | None:
    tls = Tls(namespace.ca, namespace.cert, namespace.key, namespace.server_name)
    if not namespace.tls:
        for option in ("ca", "cert", "key", "server_name"):
            if getattr(namespace, option) is not None:
                name = option.replace("_", "-")
                raise ConfigError(f"--{name} is given without --tls; add it, or the target is called in the clear")
        return None
    if (tls.cert is None) != (tls.key is None):
        given, missing = ("--key", "--cert") if tls.cert is None else ("--cert", "--key")
        raise ConfigError(f"{given} is given without {missing}; give both, a certificate chain and its key in PEM")
    tls.context()  # what is wrong with the files is said now
    return tls


def _read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"--token-file {path} cannot be read: {error.strerror}; name the file that holds the token"
        ) from error
    token = content.strip()
    if not token:
        raise ConfigError(f"--token-file {path} is empty; write the token into it")
    if len(content) > _MOST_BYTES or not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"--token-file {path} holds something else than one token; it should hold the token alone, as "
            "'tailgate token' prints it on standard error"
        )
    return token.decode("ascii")
