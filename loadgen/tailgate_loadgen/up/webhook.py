"""Where Alertmanager sends alerts: a server on loopback that hands each on, once for every change."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """The server, on a thread of its own.

    Attributes:
        url: Where it listens.
    """

    def __init__(self, tell: Callable[[str, str, str], None]) -> None:
        """Listen on a free port; `tell` is given status, name and summary of each alert, on that thread."""

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.send_response(200)
                self.end_headers()
                for status, name, summary in read_alerts(body):
                    tell(status, name, summary)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name
                """Nothing: what matters is told."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def read_alerts(body: bytes) -> list[tuple[str, str, str]]:
    """Status, name and summary of each alert in what Alertmanager sends; none where it is something else.

    >>> read_alerts(b'{"alerts": [{"status": "firing", "labels": {"alertname": "A"}, "annotations": {}}]}')
    [('firing', 'A', '')]
    """
    try:
        document: Any = json.loads(body)
        return [
            (str(alert["status"]), str(alert["labels"]["alertname"]), str(alert["annotations"].get("summary", "")))
            for alert in document["alerts"]
        ]
    except (ValueError, KeyError, TypeError):
        return []
