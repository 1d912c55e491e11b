"""A real server in a process of its own, and the command as a person runs it."""

from __future__ import annotations

import datetime as dt
import http.client
import ipaddress
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image

import tailgate.cli
from tailgate.trace.files import read_trace
from tailgate.trace.format import Contents, Records
from tailgate_loadgen.calls import DEFAULT_CLIENT, ClientName

ROOT = Path(__file__).parents[2]
ATTEMPTS = 6
PYTHONPATH = os.pathsep.join(str(ROOT / folder) for folder in (".", "loadgen", "proxy"))
READY_TIMEOUT_S = 300.0


@dataclass
class Server:
    """A running server."""

    address: str
    log: Path

    def received(self, model: str) -> list[dict[str, Any]]:
        """Requests it got for this model, in order, without those of warm-ups."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return [line for line in lines if line["model"] == model and "tailgate-label" in line["metadata"]]


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Server]]:
    """Starts servers, which end with the session."""
    processes: list[subprocess.Popen[str]] = []

    def start() -> Server:
        log = tmp_path_factory.mktemp("server") / "received.jsonl"
        log.touch()
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("v2_server.py"), log],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": PYTHONPATH},
        )
        processes.append(process)
        assert process.stdout is not None
        return Server(f"127.0.0.1:{int(process.stdout.readline())}", log)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def server(start_server: Callable[[], Server]) -> Server:
    """A server that all tests share."""
    return start_server()


def is_ready(admin: str) -> bool:
    """Whether the proxy with this admin port has found its upstream ready."""
    asking = http.client.HTTPConnection(admin, timeout=READY_TIMEOUT_S)
    try:
        asking.request("GET", "/readyz")
        return asking.getresponse().status == 200
    finally:
        asking.close()


@pytest.fixture(scope="session")
def start_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Starts real proxies in front of an address, and waits until they are ready; they end with the session."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(upstream: str, *options: str) -> str:
        command = [sys.executable, "-m", "tailgate", "proxy", "--upstream", upstream, "--deadline", "300s"]
        command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *options]
        log = tmp_path_factory.mktemp("proxy") / "proxy.log"
        with log.open("wb") as said:
            environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
            processes.append(subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment))
        give_up_s = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < give_up_s and processes[-1].poll() is None:
            said_so = re.search(r"proxy listening on (\S+), admin on (\S+)\n", log.read_text())
            if said_so and is_ready(said_so[2]):
                return said_so[1]
            time.sleep(0.05)
        raise AssertionError(f"the proxy did not get ready; it said:\n{log.read_text()}")

    yield start
    for process in processes:
        process.kill()
        process.wait()


class Authority:
    """Issues certificates, into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._signed("authority", self._key, x509.BasicConstraints(ca=True, path_length=None)))

    def issue(self, host: str = "127.0.0.1") -> tuple[Path, Path]:
        """A certificate for a host, for servers and clients alike, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        number = len(list(self._folder.iterdir()))
        paths = self._folder / f"{number}.pem", self._folder / f"{number}.key"
        paths[0].write_bytes(self._signed("test", key, x509.SubjectAlternativeName([name])))
        paths[1].write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
        return paths

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> bytes:
        now = dt.datetime.now(dt.UTC)
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, "authority"))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(pem.Encoding.PEM)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one that is trusted."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that is not."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@dataclass
class Ran:
    """What the command did."""

    status: int
    error: str
    output: str
    folder: Path

    @property
    def rows(self) -> Records:
        """Its records of passes, without warm-ups."""
        records = self.trace.records
        return records[records["pass_index"] >= 0]

    @property
    def trace(self) -> Contents:
        """What it recorded."""
        return read_trace(self.folder / "client.trace")

    @property
    def summary(self) -> dict[str, Any]:
        """What it came to."""
        content: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return content


@pytest.fixture
def client() -> ClientName:
    """What makes the calls; a module that is about both overrides this."""
    return DEFAULT_CLIENT


@pytest.fixture
def load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], client: ClientName
) -> Callable[..., Ran]:
    """Runs `tailgate load`, or the action under it, with these options beside --trace and --cache."""
    entry = EntryPoint("load", "tailgate_loadgen.command:COMMAND", "tailgate.commands")
    monkeypatch.setattr(tailgate.cli, "entry_points", lambda **_: [entry])
    # These machines may be busy: whether the generator kept its pace is asked for where that is the question.
    defaults = {"--dataset": "digits", "--model": "right", "--rate": "400", "--deadline": "20s", "--max-lag": "10s"}

    def run(*flags: str, folder: str = "run", action: str | None = None, **options: object) -> Ran:
        given = (defaults if action in (None, "search") else {}) | {
            f"--{name.replace('_', '-')}": str(value) for name, value in options.items()
        }
        given = ({} if action == "merge" else {"--client": client}) | given
        given |= {} if action == "calibrate" else {"--trace": str(tmp_path / folder)}
        given |= {} if action == "merge" else {"--cache": str(tmp_path / "cache")}
        given = {name: value for name, value in given.items() if value != "None"}
        try:
            status = tailgate.cli.main(
                ["load", *([action] if action else []), *flags, *(part for pair in given.items() for part in pair)]
            )
        except SystemExit as exit_:  # argparse
            status = int(exit_.code or 0)
        captured = capsys.readouterr()
        return Ran(status, captured.err, captured.out, tmp_path / folder)

    return run


@pytest.fixture
def load_valid(load: Callable[..., Ran]) -> Callable[..., Ran]:
    """As `load`; again where a run says itself that it is not valid, as on a machine that others use too."""

    def run(*flags: str, folder: str = "run", **options: Any) -> Ran:
        said = []
        for attempt in range(ATTEMPTS):
            ran = load(*flags, folder=f"{folder}-valid-{attempt}", **options)
            if "the run is not valid" not in ran.error and "could not keep any rate" not in ran.error:
                return ran
            said.append(ran.error)
        raise AssertionError("".join(said))

    return run


@pytest.fixture
def start_load(tmp_path: Path, client: ClientName) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `tailgate load` in a process of its own, for what is done to a process."""
    processes: list[subprocess.Popen[str]] = []
    main = (
        "import sys, tailgate.cli; from importlib.metadata import EntryPoint; "
        "entry = EntryPoint('load', 'tailgate_loadgen.command:COMMAND', 'tailgate.commands'); "
        "tailgate.cli.entry_points = lambda group: [entry]; sys.exit(tailgate.cli.main())"
    )

    def start(**options: object) -> subprocess.Popen[str]:
        given = {
            "dataset": "digits",
            "client": client,
            "max-lag": "10s",
            "trace": tmp_path / "run",
            "cache": tmp_path / "cache",
        } | options
        process = subprocess.Popen(
            [sys.executable, "-c", main, "load", "--quiet", *(f"--{name}={value}" for name, value in given.items())],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": PYTHONPATH},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def make_image() -> Callable[..., Path]:
    """Writes an image of seeded noise over a gradient."""

    def make(path: Path, width: int = 60, height: int = 48, seed: int = 0, mode: str = "RGB") -> Path:
        noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3))
        ramp = np.linspace(0, 190, width)[None, :, None]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((noise + ramp).astype(np.uint8)).convert(mode).save(path)
        return path

    return make
