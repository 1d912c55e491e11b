"""`tailgate token`: makes a token, and the line of the file that lets it in."""

from __future__ import annotations

import argparse
import secrets
import sys

from tailgate.cli import EXIT_OK, Command


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="whose token it is; stands in messages and in the log")
    parser.add_argument("--scopes", metavar="SCOPES", required=True, help="some of infer,label,metrics,admin")


def _run(options: argparse.Namespace) -> int:
    from tailgate.access.tokens import TOKEN_BYTES, Token, digest_of, make_token, read_name, read_scopes
    from tailgate.errors import UsageError

    try:
        name, scopes = read_name(options.name), read_scopes(options.scopes)
    except ValueError as error:
        raise UsageError(str(error)) from error
    token = make_token(secrets.token_bytes(TOKEN_BYTES))
    # Apart from each other, so that the line can go straight into the file and the token never does.
    print(Token(name, scopes, digest_of(token.encode())).line())
    print(token, file=sys.stderr)
    return EXIT_OK


COMMAND = Command("make a token for `tailgate proxy --tokens`: its line on stdout, itself on stderr", _configure, _run)
