"""Files are there in full or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailgate.errors import UsageError
from tailgate.whole_file import write_whole_file


def test_a_file_is_written_into_a_folder_that_is_made_and_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a"
    write_whole_file(path, lambda partial: partial.write_text("one"))
    assert path.read_text() == "one"
    write_whole_file(path, lambda partial: partial.write_text("two"))
    assert path.read_text() == "two"
    assert [found.name for found in path.parent.iterdir()] == ["a"]


def test_what_fails_halfway_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def half(partial: Path) -> None:
        partial.write_text("ne")
        assert path.read_text() == "old"
        raise RuntimeError("the writer's own fault")

    with pytest.raises(RuntimeError):
        write_whole_file(path, half)
    assert [found.read_text() for found in tmp_path.iterdir()] == ["old"]


def test_a_place_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/a cannot be written: Not a directory|File exists"):
        write_whole_file(tmp_path / "file" / "a", lambda partial: partial.write_text("x"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"folder cannot be written: Is a directory"):
        write_whole_file(tmp_path / "folder", lambda partial: partial.write_text("x"))
