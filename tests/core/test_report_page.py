"""The report's page and figures: they need nothing else, trust no name, and are whole or not there."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tailgate.observation import Observation
from tailgate.report.command import write_whole

Make = Callable[..., Observation]
Replay = Callable[..., list[Observation]]
Write = Callable[..., Path]
Report = Callable[..., None]


class Page(HTMLParser):
    """What a page refers to and holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.references += [value for name in ("src", "href", "xlink:href", "action") if (value := values.get(name))]


HOSTILE = '<b onmouseover="x()">&$\\frac{_'


@pytest.fixture(scope="session")
def comparison(write_trace: Write, report: Report, tmp_path_factory: pytest.TempPathFactory, replay: Replay) -> Path:
    """The report of two systems, one of which bears the worst name there is, with an event beside."""
    folder = tmp_path_factory.mktemp("comparison")
    write_trace(folder / HOSTILE, replay(), note="<script>x()</script>")
    write_trace(folder / "other", replay(cut=True), on_deadline="cancel")
    events = [{"name": "<i>contention</i>", "start_unix_s": 1031.0, "end_unix_s": 1038.0}]
    (folder / "other" / "events.json").write_text(json.dumps(events))
    report(f"{folder / HOSTILE}", f"_$second$={folder / 'other'}", "--out", folder / "out")
    return folder / "out"


def summary(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


def test_the_page_needs_no_script_and_nothing_from_outside(comparison: Path) -> None:
    page = Page((comparison / "report.html").read_text())
    assert not {"script", "link", "img", "iframe", "object", "b onmouseover"} & set(page.tags)
    assert all(reference.startswith("#") for reference in page.references)
    assert "url(http" not in (comparison / "report.html").read_text()


def test_ids_on_the_page_are_unique_and_every_reference_has_its_id(comparison: Path) -> None:
    text = (comparison / "report.html").read_text()
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids) > 0
    referred = {reference.removeprefix("#") for reference in page.references} | set(
        re.findall(r"url\(#([^)]+)\)", text)
    )
    assert referred <= set(page.ids)


def test_names_are_text_wherever_they_stand(comparison: Path) -> None:
    text = (comparison / "report.html").read_text()
    assert "<b onmouseover" not in text
    assert "<script" not in text
    assert "<i>contention" not in text
    assert "&lt;b onmouseover=&#34;x()&#34;&gt;&amp;$\\frac{_" in text
    assert "_$second$: mean" in (comparison / "quality_by_threshold.svg").read_text()


def test_figures_are_sound_xml_with_a_name_for_those_who_cannot_see_them(comparison: Path) -> None:
    for name in ("quality_by_threshold.svg", "passes.svg"):
        root = ET.fromstring((comparison / name).read_text())
        assert root.tag.endswith("svg")
    assert "contention" in "".join(ET.fromstring((comparison / "passes.svg").read_text()).itertext())
    page = (comparison / "report.html").read_text()
    drawn = [
        key for key, figure in summary(comparison)["figures"].items() if key in page and f'id="{key}-wide-' in page
    ]
    assert {"passes", "quality_by_threshold", "quality_bands", "times", "boxes", "foretold", "causes"} <= set(drawn)
    assert page.count('<svg role="img" aria-label="') == 2 * len(drawn)  # one for wide screens, one for narrow ones
    assert len(re.findall(r'<svg role="img" aria-label="([^"]+)"[^>]*><title>\1</title>', page)) == 2 * len(drawn)


def test_the_same_traces_give_the_same_bytes(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay
) -> None:
    write_trace(tmp_path / "run", replay())
    for out in ("one", "two"):
        report(tmp_path / "run", "--out", tmp_path / out)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["passes.svg", "quality_by_threshold.svg", "report.html", "summary.json"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


def test_a_figure_that_no_longer_applies_does_not_stay_behind(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay, observation: Make
) -> None:
    report(write_trace(tmp_path / "run", replay()), "--out", tmp_path / "out")
    report(write_trace(tmp_path / "new", [observation(0, label=-1)]), "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "summary.json"]


def test_nobody_ever_finds_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_whole(path, "old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
