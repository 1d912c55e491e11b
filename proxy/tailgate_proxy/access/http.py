"""Requests over HTTP: refused by their headers, before any of their body is read.

A person comes with a browser, which can send no bearer token: it asks for a password instead (Basic), and the token is
that. Only where something is read: a browser sends a password along with whatever another site has it send, too, and
must not be made to give labels.
"""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from tailgate.access.decision import Reason
from tailgate_proxy.access.guard import Guard
from tailgate_proxy.access.needs import Needed, of_page

_READS: Final = frozenset((hdrs.METH_GET, hdrs.METH_HEAD))
_BEARER: Final = 'Bearer realm="tailgate"'
_BASIC: Final = 'Basic realm="tailgate, with any name and a token as the password", charset="UTF-8"'


def refuse(guard: Guard, request: web.Request, needed: Needed, *, person: bool = False) -> web.Response | None:
    """The answer to a request that is not let in, or None.

    Args:
        guard: Decides.
        request: Its headers are here, its body is not.
        needed: What it needs.
        person: Whether somebody in a browser may ask for this.
    """
    basic = person and request.method in _READS
    authorization = ", ".join(request.headers.getall(hdrs.AUTHORIZATION, ())).encode("utf-8", "surrogateescape")
    refusal = guard.check(authorization, needed, basic=basic)
    if refusal is None:
        return None
    response = web.json_response({"error": str(refusal.error)}, status=refusal.error.http_status)
    if refusal.reason is not Reason.SCOPE:
        response.headers.add(hdrs.WWW_AUTHENTICATE, _BEARER)
        if basic:
            response.headers.add(hdrs.WWW_AUTHENTICATE, _BASIC)
    return response


def guard_admin(guard: Guard, *, admin_open: bool) -> Middleware:
    """A middleware of the admin port. Paths that do not exist need as much as any: nobody finds out which do.

    Args:
        guard: Decides.
        admin_open: Whether everybody may read there.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        needed = of_page("" if resource is None else resource.canonical, admin_open=admin_open)
        refused = refuse(guard, request, needed, person=True)
        return await handler(request) if refused is None else refused

    return middleware
