"""Scrapes metrics again and again: `python bench/_scraper.py HOST:PORT EVERY_S SECONDS`. Prints what it saw, as JSON.

A process of its own with the least priority, so that it takes no time from who measures beside it.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time


def main(address: str, every_s: float, seconds: float) -> None:
    os.nice(19)
    connection = http.client.HTTPConnection(address, timeout=10)
    took_s, text = [], b""
    until_s = time.perf_counter() + seconds
    while time.perf_counter() < until_s:
        began_s = time.perf_counter()
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
        took_s.append(time.perf_counter() - began_s)
        time.sleep(every_s)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    print(json.dumps({"took_s": took_s, "series": series}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
