"""`tailgate proxy --check`: every mistake, a sentence each; or what a proxy would do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tailgate.config import read_config
from tailgate.errors import ConfigMistakes
from tailgate_proxy.checking import describe, read_and_check
from tailgate_proxy.config import ProxyConfig

ROOT = Path(__file__).resolve().parents[3]
UPSTREAMS = """
deadline = "50ms"
[upstreams.stable]
addresses = ["127.0.0.1:8001"]
[upstreams.canary]
addresses = ["127.0.0.1:8002"]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "proxy.toml"
    file.write_text(text)
    return file


def run(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tailgate", "proxy", "--check", "--config", str(file), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize(
    ("routes", "sentences"),
    [
        ('[[routes]]\nto = "canray"', ["routes.#1.to is 'canray', which is no upstream; did you mean 'canary'?"]),
        ('[[routes]]\nto = "x"', ["routes.#1.to is 'x', which is no upstream; there are canary, stable"]),
        (
            "[[routes]]\nto = { stable = 0, canary = 0 }",
            ["routes.#1.to is {'stable': 0, 'canary': 0}: its weights add up to 0, so that no request could go"],
        ),
        ('[[routes]]\nto = "stable"\nshadow = "canry"', ["routes.#1.shadow is 'canry', which is no upstream"]),
        (
            '[[routes]]\nto = { stable = 1, canary = 1 }\nshadow = "canary"',
            ["routes.#1.shadow is 'canary', where the requests themselves go, too; name another upstream"],
        ),
        (
            '[[routes]]\nto = "stable"\nshadow_share = 0.5',
            ["routes.#1.shadow_share is given without shadow; name the upstream that gets the copies"],
        ),
        (
            '[[routes]]\nto = "stable"\nshadow = "canary"\nshadow_share = 0',
            ["routes.#1.shadow_share is 0: input should be greater than 0"],
        ),
        ("[[routes]]\nto = {}", ["routes.#1.to is {}: it names no upstream; name one"]),
        (
            "[[routes]]\nto = { stable = -1, canary = inf }",
            [
                "routes.#1.to.stable is -1: input should be greater than or equal to 0",
                "routes.#1.to.canary is inf: input should be",
            ],
        ),
        ("[[routes]]\nto = 7", ["routes.#1.to is 7: input should be a valid dictionary"]),
        ('[[routes]]\nmodel = "m"', ["routes.#1.to is missing"]),
        ('[[routes]]\nmodle = "m"\nto = "stable"', ["routes.#1.modle is not known; did you mean 'model'?"]),
        ('[[routes]]\nmodel = ""\nto = "stable"', ["routes.#1.model is '': string should have at least 1 character"]),
        ('[[routes]]\nversion = 2\nto = "stable"', ["routes.#1.version is 2: input should be a valid string"]),
        (
            '[[routes]]\nheaders = { a = 1 }\nto = "stable"',
            ["routes.#1.headers.a is 1: input should be a valid string"],
        ),
        (
            '[[routes]]\nheaders = { a = "1", A = "2" }\nto = "stable"',
            ["it names a header twice, which upper case does not change; leave one out"],
        ),
        (
            '[[routes]]\nheaders = { Authorization = "Bearer x" }\nto = "stable"',
            ["authorization holds clients' secrets, which are no names for routes; use another header"],
        ),
        (
            '[[routes]]\nmodel = "res*"\nto = "stable"\n[[routes]]\nmodel = "resnet"\nto = "canary"',
            [
                "routes.#2 is for 'model resnet', of which route #1 ('model res*') takes every request before; put it "
                "above that one, or leave it out"
            ],
        ),
        (
            '[[routes]]\nto = "a"\n[[routes]]\nto = { b = 1, stable = 1 }\n[[routes]]\nversion = ""\nto = "c"',
            [
                "routes.#1.to is 'a'",
                "routes.#2 is for 'model *'",
                "routes.#2.to is 'b'",
                "routes.#3 is for 'model *, no version'",
                "routes.#3.to is 'c'",
            ],
        ),
    ],
)
def test_every_mistake_in_a_route_is_a_sentence(routes: str, sentences: list[str], tmp_path: Path) -> None:
    file = written(tmp_path, UPSTREAMS + routes)
    with pytest.raises(ConfigMistakes) as caught:
        read_config(ProxyConfig, file, {})
    assert len(caught.value.sentences) == len(sentences)
    for found, sentence in zip(sorted(caught.value.sentences), sorted(sentences), strict=True):
        assert found.startswith(f"{file}: ")
        assert sentence in found
        assert "\n" not in found


def test_all_mistakes_are_printed_a_line_each_and_the_exit_status_is_2(tmp_path: Path) -> None:
    wrong = '[[routes]]\nto = "x"\n[models.m]\nmode = "both"\n[models.n]\ndefault_answer = 7\n'
    done = run(written(tmp_path, "trcae = 'x'\n" + UPSTREAMS + wrong), "--objective", "2")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert all(line.startswith("tailgate proxy: ") for line in lines)
    for part in (
        "trcae is not known; did you mean 'trace'?",
        "routes.#1.to is 'x'",
        "models.m.mode is 'both'",
        "models.n.default_answer is 7",
        "--objective is 2",
    ):
        assert sum(part in line for line in lines) == 1
    assert len(lines) == 5


def test_files_that_cannot_be_used_are_mistakes_as_well(tmp_path: Path) -> None:
    answers = '[models.m]\nmode = "default-answer"\n[models.n]\ndefault_answer = "nowhere.json"\n'
    file = written(tmp_path, UPSTREAMS + answers)
    done = run(
        file,
        "--tls-cert",
        "nowhere.pem",
        "--tokens",
        str(tmp_path / "nowhere"),
        "--workers",
        "4000",
        "--admin",
        "h:65000",
    )
    assert done.returncode == 2
    for part in (
        "models.m.default_answer is missing",
        "nowhere.json cannot be read",
        "--tls-cert is given without --tls-key",
        "cannot be read: No such file",
        "leaves no room for 4000 workers",
    ):
        assert sum(part in line for line in done.stderr.splitlines()) == 1, done.stderr


def test_a_file_that_is_no_toml_or_not_there_is_one_sentence(tmp_path: Path) -> None:
    for file in (written(tmp_path, "deadline = "), tmp_path / "nowhere.toml"):
        done = run(file)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"tailgate proxy: {file} ")
        assert done.stderr.count("\n") == 1


def test_a_good_file_is_described_and_nothing_is_made(tmp_path: Path) -> None:
    routes = (
        '[[routes]]\nmodel = "res*"\nversion = ""\nheaders = { X-Tenant = "gold" }\nto = "canary"\n'
        '[[routes]]\nto = { stable = 90, canary = 10 }\nshadow = "next"\nshadow_share = 0.25\n'
        '[upstreams.next]\naddresses = ["127.0.0.1:8005"]\n'
        '[upstreams.spare]\naddresses = ["127.0.0.1:8003", "127.0.0.1:8004"]\n'
        'profile = "triton"\nversion_suffix = "-x"\n'
        '[models.m]\ndeadline = "2s"\n[models.n]\nmode = "observe"\n[models.o]\n'
    )
    file = written(tmp_path, f'trace = "{tmp_path}/trace"\n' + UPSTREAMS + routes)
    done = run(file, "--rest", "127.0.0.1:9080")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ports      gRPC on 127.0.0.1:9001",
        "           admin on 127.0.0.1:9090",
        "           HTTP on 127.0.0.1:9080",
        "upstreams  stable: 127.0.0.1:8001 (generic)",
        "           canary: 127.0.0.1:8002 (generic)",
        "           next: 127.0.0.1:8005 (generic)",
        "           spare: 127.0.0.1:8003, 127.0.0.1:8004 (triton), versions end in -x",
        "routes     #1 model res*, no version, x-tenant = gold → canary",
        "           #2 model * → stable 90 %, canary 10 %; copies of 25 % → next",
        "           all others → stable",
        "deadlines  enforce after 50 ms",
        "           m: enforce after 2 s",
        "           n: observe after 50 ms",
        "note       no request goes to spare",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["proxy.toml"]


def test_a_fixed_limit_that_is_not_given_is_among_the_mistakes(tmp_path: Path) -> None:
    text = 'upstream = "127.0.0.1:1"\ndeadline = "50ms"\nadmission = "fixed"\n'
    with pytest.raises(ConfigMistakes) as caught:
        read_and_check(written(tmp_path, text), {})
    assert caught.value.sentences == [
        "upstream_limit is missing; admission 'fixed' needs the number of requests at once"
    ]


def examples() -> list[str]:
    text = (ROOT / "docs" / "routes.md").read_text()
    return re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(examples())))
def test_every_example_of_the_document_is_valid(number: int, tmp_path: Path) -> None:
    assert describe(read_and_check(written(tmp_path, examples()[number]), {}))


def test_the_document_shows_what_is_printed(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "routes.md").read_text()
    shown = re.search(r"^```\n(ports .*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown is not None
    weights = next(example for example in examples() if "stable = 90" in example)
    assert describe(read_and_check(written(tmp_path, weights), {})) == shown[1].rstrip()
