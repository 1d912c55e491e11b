"""What this machine allows: for each need of a case, why it is not met, or nothing."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

MANY_FILES: Final = 12_000
_FAKETIME: Final = "/usr/lib/*/faketime/libfaketime.so.1"
CGROUPS: Final = Path("/sys/fs/cgroup")


def unmet(needs: Iterable[str]) -> str | None:
    """Why a case with these needs cannot run here; None if it can."""
    return next((why for need in needs if (why := _NEEDS[need]())), None)


@cache
def _root() -> str | None:
    return None if os.geteuid() == 0 else "needs root"


@cache
def _namespaces() -> str | None:
    if why := _root():
        return why
    for tool, package in (("unshare", "util-linux"), ("nsenter", "util-linux"), ("ip", "iproute2")):
        if shutil.which(tool) is None:
            return f"needs {tool}, of the package {package}"
    script = "ip link set lo up && ip link add near type veth peer name far"
    return None if _runs("unshare", "--net", "--", "sh", "-c", script) else "needs network namespaces, refused here"


@cache
def _loss() -> str | None:
    if why := _namespaces():
        return why
    if shutil.which("iptables") is None:
        return "needs iptables"
    rule = "iptables -A INPUT -m statistic --mode random --probability 0.1 -j DROP"
    return None if _runs("unshare", "--net", "--", "sh", "-c", rule) else "needs iptables' match 'statistic'"


@cache
def _shaping() -> str | None:
    if why := _namespaces():
        return why
    script = (
        "ip link add near type veth peer name far && tc qdisc add dev near root tbf rate 2mbit burst 16kb latency 100ms"
    )
    return None if _runs("unshare", "--net", "--", "sh", "-c", script) else "needs tc with the qdisc tbf"


@cache
def _cgroup(controller: str, file: str) -> str | None:
    if why := _root():
        return why
    folder = CGROUPS / controller
    return None if (folder / file).exists() and os.access(folder, os.W_OK) else f"needs a cgroup v1 {controller}"


@cache
def _clock() -> str | None:
    return None if faketime() is not None else "needs libfaketime"


@cache
def _files() -> str | None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    enough = hard == resource.RLIM_INFINITY or hard >= MANY_FILES
    return None if enough else f"needs {MANY_FILES} files at once, of which the limit here is {hard}"


def faketime() -> str | None:
    """The library that tells a process another time, where it is installed."""
    return next((str(path) for path in sorted(Path("/").glob(_FAKETIME.lstrip("/")))), None)


def _runs(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


_NEEDS: Final[Mapping[str, Callable[[], str | None]]] = {
    "root": _root,
    "network namespaces": _namespaces,
    "packet loss": _loss,
    "traffic shaping": _shaping,
    "a memory cgroup": lambda: _cgroup("memory", "memory.limit_in_bytes"),
    "a processor cgroup": lambda: _cgroup("cpu", "cpu.cfs_quota_us"),
    "another clock": _clock,
    "many files": _files,
}
