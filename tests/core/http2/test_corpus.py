"""What the fuzzer has found interesting goes through the same checks again, every time, without the fuzzer."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CORPUS = ROOT / "fuzz" / "corpus"
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "fuzz").glob("fuzz_*.py"))


@pytest.mark.parametrize("target", TARGETS)
def test_every_input_of_the_corpus_keeps_the_promises(target: str) -> None:
    fuzz = importlib.import_module(f"fuzz.fuzz_{target}").fuzz
    inputs = sorted((CORPUS / target).iterdir())
    assert inputs
    for path in inputs:
        try:
            fuzz(path.read_bytes())
        except Exception as error:
            raise AssertionError(
                f"replay it by: python fuzz/run.py --target {target} {path.relative_to(ROOT)}"
            ) from error


def test_the_corpus_is_small_enough_to_be_kept() -> None:
    sizes = [path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()]
    assert len(sizes) <= 300
    assert sum(sizes) <= 400_000
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
