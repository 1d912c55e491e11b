"""Every mistake a person can make gets one sentence, exit status 2, and leaves no file behind."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tailgate_loadgen.command import COMMAND
from tailgate_loadgen.options import MinQuality, Options, default_cache, read_options

if TYPE_CHECKING:
    from tests.loadgen.conftest import Ran, Server

    Load = Callable[..., Ran]


def parse(*arguments: str) -> Options:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    return read_options(
        parser.parse_args(["--target=localhost:9001", "--model=m", "--dataset=digits", "--trace=t", *arguments])
    )


WRONG_OPTIONS = [
    ({"target": "9001"}, "--target is '9001'; expected HOST:PORT"),
    ({"target": "host:99999"}, "--target is 'host:99999'"),
    ({"target": "http://host:80"}, "--target is 'http://host:80'"),
    ({"model": ""}, "--model is ''; expected a name"),
    ({"model": "x" * 65}, "expected a name of 1 to 64 bytes"),
    ({"rate": "0"}, "--rate is 0.0; expected requests a second"),
    ({"rate": "-1"}, "--rate"),
    ({"rate": "nan"}, "--rate is nan"),
    ({"rate": "inf"}, "--rate is inf"),
    ({"rate": "fast"}, "argument --rate: invalid float value: 'fast'"),
    ({"arrivals": "bursty"}, "--arrivals is 'bursty'; expected constant, poisson, gamma:SHAPE"),
    ({"arrivals": "csv:/nowhere"}, "--arrivals csv:/nowhere cannot be read: No such file or directory"),
    ({"target": None}, "the following options are required: --target; see 'tailgate load --help'"),
    ({"seed-order": "-1"}, "--seed-order is -1; expected a whole number of at least 0"),
    ({"keep-answers": "-1"}, "--keep-answers is -1"),
    ({"procs": "many"}, "--procs is many; expected a number of processes from 1 to 256, or auto"),
    ({"calibration": "/"}, "--calibration / cannot be read: Is a directory; name another file"),
    ({"procs": "0"}, "--procs is 0; expected a number of processes from 1 to 256"),
    ({"shard": "2/2", "run-id": "r", "start-at": "1"}, "--shard is '2/2'; expected K/N with K from 0 to N - 1"),
    ({"shard": "0/2", "run-id": "r"}, "--shard needs --run-id and --start-at, the same ones in every shard"),
    (
        {"shard": "0/2", "run-id": "r", "start-at": "1", "procs": "2"},
        "--procs is 2, but --shard is one process's share",
    ),
    ({"shard": "0/2", "run-id": "r", "start-at": "1", "min-quality": "0.9@1s"}, "give it to 'tailgate load merge'"),
    ({"run-id": "a b"}, "--run-id is 'a b'; expected 1 to 24 letters, digits"),
    ({"start-at": "-1"}, "--start-at is -1.0; expected seconds since 1970"),
    ({"start-at": "1", "warmup": "0"}, "s ago when everything was ready; name a later instant"),
    ({"deadline": "50"}, "--deadline is '50'; expected a number above zero with its unit"),
    ({"deadline": "0ms"}, "--deadline is '0ms'"),
    ({"deadline": "2h"}, "--deadline is '2h'; a request may have at most 3600 s"),
    ({"passes": "0"}, "--passes is 0; expected a whole number of at least 1"),
    ({"seed": "-1"}, "--seed is -1; expected a whole number of at least 0"),
    ({"samples": "0"}, "--samples is 0"),
    ({"samples": "899"}, "--samples is 899, but the data set has 898"),
    ({"warmup": "-1"}, "--warmup is -1"),
    ({"max-lag": "1"}, "--max-lag is '1'"),
    ({"min-quality": "0.9"}, "--min-quality is '0.9'; expected a share above 0 and a time"),
    ({"min-quality": "1.5@50ms"}, "--min-quality is '1.5@50ms'"),
    ({"min-quality": "0.9@50"}, "--min-quality: the time after '@' is '50'"),
    ({"min-quality": "0.9@50s"}, "later than --deadline 20 s, after which no answer is seen"),
    ({"payload": "png"}, "argument --payload: invalid choice: 'png'"),
    ({"dataset": "cifar"}, "--dataset is 'cifar'; expected digits, imagefolder:PATH or imagenet:PATH"),
    ({"dataset": "digits:x"}, "--dataset is 'digits:x'"),
    ({"dataset": "imagefolder:"}, "--dataset is 'imagefolder:'"),
    ({"dataset": "imagefolder:/nowhere"}, "/nowhere is not a folder"),
    ({"dataset": "imagenet:/nowhere"}, "/nowhere is not a folder"),
    ({"crop": "32"}, "do not apply to the digits"),
    ({"interpolation": "cubic"}, "argument --interpolation: invalid choice"),
    ({"model": "unknown"}, "has no model 'unknown'"),
    ({"model": "not-ready"}, "cannot serve model 'not-ready' now: still loading"),
    ({"model": "two-inputs"}, "has 2 inputs; the load generator sends exactly one"),
    ({"model": "channels-last"}, "takes an input of shape [-1, 32, 32, 3]"),
    ({"model": "fp32-only"}, "takes FP32, not UINT8 (--payload uint8); take --payload fp32"),
    ({"model": "plain", "payload": "jpeg"}, "takes UINT8, not BYTES (--payload jpeg); take --payload uint8"),
    ({"model": "large"}, "takes images of 64 × 64, but the digits are 32 × 32"),
    ({"model": "three-classes"}, "has 10 classes, but model 'three-classes' tells 3 apart"),
    ({"model": "refuses"}, "refuses the requests of this run with INVALID_ARGUMENT (no such pixels)"),
]


@pytest.mark.parametrize(("options", "sentence"), WRONG_OPTIONS, ids=[str(options) for options, _ in WRONG_OPTIONS])
def test_a_wrong_option_gets_one_sentence(load: Load, server: Server, options: dict[str, str], sentence: str) -> None:
    ran = load(**({"target": server.address} | options))
    assert ran.status == 2
    assert sentence in ran.error
    assert ran.error.startswith("tailgate load: ")
    assert ran.error.count("\n") == 1
    assert not ran.folder.exists()


@pytest.fixture
def tiny(tmp_path: Path, make_image: Callable[..., Path]) -> Path:
    """An imagefolder of ten classes with an image each."""
    for digit in range(10):
        make_image(tmp_path / "tiny" / str(digit) / "image.png", seed=digit)
    return tmp_path / "tiny"


WRONG_FILES = [
    ({"model": "bad-config"}, "has the parameter resize_size = 'wide'; expected pixels"),
    ({"model": "odd-filter"}, "asks for the interpolation 'nearest-exact', which Pillow does not have"),
    ({"crop": "30"}, "--crop is 30, but model 'right'"),
    ({"resize": "30"}, "--resize is 30, smaller than the crop of 32"),
]


@pytest.mark.parametrize(("options", "sentence"), WRONG_FILES, ids=[str(options) for options, _ in WRONG_FILES])
def test_a_transform_that_cannot_be_gets_one_sentence(
    load: Load, server: Server, tiny: Path, options: dict[str, str], sentence: str
) -> None:
    ran = load(dataset=f"imagefolder:{tiny}", target=server.address, **options)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert sentence in ran.error


def unreadable(root: Path) -> None:
    (root / "3" / "image.png").write_bytes(b"no image")


def empty_class(root: Path) -> None:
    (root / "3" / "image.png").unlink()


def no_class(root: Path) -> None:
    for digit in range(10):
        (root / str(digit) / "image.png").unlink()
        (root / str(digit)).rmdir()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (unreadable, "3/image.png cannot be read as an image"),
        (empty_class, "/3 holds no image"),
        (no_class, "holds no folder; an imagefolder has one folder"),
    ],
)
def test_a_harmed_data_set_gets_one_sentence(
    load: Load, server: Server, tiny: Path, harm: Callable[[Path], None], sentence: str
) -> None:
    harm(tiny)
    ran = load(dataset=f"imagefolder:{tiny}", target=server.address)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert sentence in ran.error


def test_a_cache_that_cannot_be_written_is_told_with_the_remedy(
    load: Load, server: Server, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    ran = load(dataset=f"imagefolder:{tiny}", target=server.address)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert "name another folder with --cache" in ran.error


def test_an_imagefolder_is_sent_as_the_model_wants_it(load: Load, server: Server, tiny: Path) -> None:
    import hashlib

    from tailgate_loadgen.datasets.transform import Transform, decode_file

    for model, options, transform in (
        ("right", {}, Transform(37, 32, "bilinear")),
        ("configured", {}, Transform(40, 32, "bicubic")),
        ("free-size", {"crop": 24, "resize": 24, "interpolation": "box"}, Transform(24, 24, "box")),
    ):
        seen = len(server.received(model))
        ran = load(dataset=f"imagefolder:{tiny}", target=server.address, model=model, folder=model, **options)
        assert ran.status == 0
        got = {request["sha256"] for request in server.received(model)[seen:]}
        assert got == {
            hashlib.sha256(decode_file(tiny / str(digit) / "image.png", transform)).hexdigest() for digit in range(10)
        }


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port of the loopback interface where nobody listens, held for the test."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def test_a_target_that_is_down_is_named_with_the_remedy(load: Load, free_port: int) -> None:
    ran = load(target=f"127.0.0.1:{free_port}")
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert f"target 127.0.0.1:{free_port} cannot be reached; start it" in ran.error


def test_options_become_values() -> None:
    options = parse("--deadline=50ms", "--min-quality=0.95@50ms", "--target=[::1]:9001", "--seed=7")
    assert options.deadline_s == 0.05
    assert options.min_quality == MinQuality(0.95, 0.05)
    assert options.target == "[::1]:9001"
    assert parse("--target=unix:/tmp/socket").target == "unix:/tmp/socket"


@pytest.mark.parametrize(("deadline", "max_lag_s"), [("10ms", 1e-3), ("50ms", 1e-3), ("1s", 0.02)])
def test_the_allowed_lag_grows_with_the_deadline_from_a_millisecond(deadline: str, max_lag_s: float) -> None:
    assert parse(f"--deadline={deadline}").max_lag_s == max_lag_s


def test_a_time_beyond_the_deadline_may_be_asked_for_where_late_answers_are_seen() -> None:
    options = parse("--deadline=50ms", "--on-deadline=wait", "--min-quality=0.9@1s")
    assert options.min_quality == MinQuality(0.9, 1.0)


def test_the_cache_lies_where_the_xdg_rules_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_cache("/elsewhere") == Path("/elsewhere/tailgate")
    assert default_cache("") == default_cache("relative/is/ignored") == Path("/home/somebody/.cache/tailgate")
