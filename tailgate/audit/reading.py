"""Evidence from files: traces, saved metrics, an upstream's log. No judgement here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tailgate.audit.evidence import Evidence, Labels, Samples
from tailgate.errors import TraceError
from tailgate.trace.files import read_folder
from tailgate.trace.format import Contents


def read_evidence(client: Path, proxy: Sequence[Path], metrics: Sequence[Path], upstream: Path | None) -> Evidence:
    """Everything that was given.

    Args:
        client: Folder of the client's trace; may hold the proxy's, too.
        proxy: Folders of the proxy's traces, likewise.
        metrics: Files with what ``/metrics`` last said, one for each process of the proxy.
        upstream: File with one request id a line, or one JSON object with ``request_id``, in the order of execution.

    Raises:
        TraceError: One of them cannot be read, or holds nothing of the kind.
    """
    executed, unlogged = (None, 0) if upstream is None else read_executed(upstream)
    return Evidence(
        client=_of_role("client", [client]),
        proxy=_of_role("proxy", proxy),
        scrapes=tuple(read_scrape(path) for path in metrics),
        executed=executed,
        unlogged=unlogged,
    )


def _of_role(role: str, folders: Sequence[Path]) -> tuple[Contents, ...]:
    found = tuple(trace for folder in folders for trace in read_folder(folder) if trace.header.get("role") == role)
    if not any(len(trace.records) for trace in found):
        where = ", ".join(map(str, folders))
        raise TraceError(f"{where} holds no observation of a {role}; name the folder that its --trace wrote to")
    return found


def read_scrape(path: Path) -> Samples:
    """What ``/metrics`` said; errors as for `read_evidence`."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, dict[Labels, float]] = {}
    try:
        for family in text_string_to_metric_families(_text(path)):
            for sample in family.samples:
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = float(sample.value)
    except (ValueError, IndexError, KeyError) as error:
        raise TraceError(f"{path} is not in Prometheus's text format; save what /metrics answers to curl") from error
    if "tailgate_received_total" not in found:
        raise TraceError(f"{path} has no tailgate_received_total; save what the proxy's /metrics answers to curl")
    return found


def read_executed(path: Path) -> tuple[tuple[str, ...], int]:
    """The ids of an upstream's log, and of how many more it says that they are missing in it.

    The last line may be cut short, where the upstream was killed; errors as for `read_evidence`.
    """
    names: list[str] = []
    missing = 0
    for number, line in enumerate(_text(path).splitlines(keepends=True), start=1):
        if not line.strip():
            continue
        if not line.startswith("{"):
            names.append(line.strip())
            continue
        try:
            found = json.loads(line)
            if "missing" in found:
                missing += int(found["missing"])
            else:
                names.append(str(found["request_id"]))
        except (ValueError, TypeError, KeyError) as error:
            if not line.endswith("\n"):
                break
            raise TraceError(
                f"{path} has no JSON object with request_id in line {number}; write one a line, or plain ids"
            ) from error
    return tuple(names), missing


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{path} is no text in UTF-8") from error
