"""ImageNet's validation set: above all, that a label becomes the index that models use."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailgate.errors import DatasetError
from tailgate_loadgen.datasets.imagenet import CLASSES, GROUND_TRUTH, IMAGES, KAGGLE_CSV, META, read_imagenet

# Numbers of the development kit run through wnids in an order of their own, as the real ones do.
WNIDS: list[str] = [f"n{number:08}" for number in np.random.default_rng(1).choice(99_999_999, CLASSES, replace=False)]
ORDER = {wnid: index for index, wnid in enumerate(sorted(WNIDS))}
IDENTIFIERS = np.random.default_rng(2).integers(1, CLASSES + 1, IMAGES)
IDENTIFIERS[:CLASSES] = np.arange(1, CLASSES + 1)  # each class occurs
PRESENT = (1, 2, 3, 777, 50_000)


def name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08}"


def wnid(number: int) -> str:
    """The class of an image, by its number from 1."""
    return WNIDS[int(IDENTIFIERS[number - 1]) - 1]


def write_meta(path: Path, wnids: Sequence[str] = WNIDS) -> None:
    """A table of classes as the development kit has it: the classes first, nodes above them after."""
    savemat = pytest.importorskip("scipy.io").savemat
    table = np.zeros(
        (len(wnids) + 3, 1), [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    )
    for row in range(len(table)):
        node = row >= len(wnids)
        table[row, 0] = (row + 1, f"n9999{row:04}" if node else wnids[row], "words, more words", 3 if node else 0)
    savemat(path, {"synsets": table})


def write_truth(path: Path) -> None:
    path.write_text("\n".join(map(str, IDENTIFIERS)) + "\n")


def write_kaggle(path: Path, count: int = IMAGES) -> None:
    rows = (f"{name(n)},{wnid(n)} 85 1 499 272 n00000001 1 2 3 4" for n in range(count, 0, -1))
    path.write_text("ImageId,PredictionString\n" + "\n".join(rows) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A few images, without labels."""
    for number in PRESENT:
        (tmp_path / f"{name(number)}.JPEG").touch()
    (tmp_path / "other.txt").touch()
    return tmp_path


EXPECTED = [ORDER[wnid(number)] for number in PRESENT]


def test_the_wrong_mapping_would_be_noticed_here() -> None:
    assert [IDENTIFIERS[number - 1] - 1 for number in PRESENT] != EXPECTED


@pytest.mark.parametrize("place", [".", "ILSVRC2012_devkit_t12/data"])
def test_numbers_of_the_development_kit_become_places_in_sorted_wnid_order(root: Path, place: str) -> None:
    (root / place).mkdir(parents=True, exist_ok=True)
    write_truth(root / place / GROUND_TRUTH)
    write_meta(root / place / META)
    source = read_imagenet(root)
    assert [path.stem for path in source.files] == [name(number) for number in PRESENT]
    assert source.labels.tolist() == EXPECTED
    assert source.class_names == tuple(sorted(WNIDS))


def test_the_csv_of_wnids_gives_the_same_labels(root: Path) -> None:
    write_kaggle(root / KAGGLE_CSV)
    source = read_imagenet(root)
    assert source.labels.tolist() == EXPECTED
    assert source.class_names == tuple(sorted(WNIDS))


def test_a_csv_of_indexes_is_taken_as_it_is_and_first(root: Path) -> None:
    write_kaggle(root / KAGGLE_CSV)
    rows = (f"{name(number)}.JPEG,{index}" for index, number in enumerate(PRESENT))
    (root / "labels.csv").write_text("file,index\n" + "\n".join(rows))
    source = read_imagenet(root)
    assert source.labels.tolist() == [0, 1, 2, 3, 4]
    assert source.class_names == ()


def test_images_may_lie_in_val(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / f"{name(3)}.JPEG").touch()
    write_kaggle(tmp_path / KAGGLE_CSV)
    assert read_imagenet(tmp_path).labels.tolist() == [ORDER[wnid(3)]]


def text(file: str, content: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        (root / file).write_text(content)

    return write


def devkit(truth: str | None = None, wnids: Sequence[str] = WNIDS) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        write_truth(root / GROUND_TRUTH)
        write_meta(root / META, wnids)
        if truth is not None:
            (root / GROUND_TRUTH).write_text(truth)

    return write


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (text("notes.txt", ""), "has no labels: put LOC_val_solution.csv, or labels.csv"),
        (lambda root: write_truth(root / GROUND_TRUTH), "without meta.mat beside it its numbers cannot be mapped"),
        (lambda root: write_kaggle(root / KAGGLE_CSV, 500), "names 500 classes, not 1000"),
        (text(KAGGLE_CSV, "ImageId,Label\n"), "expected the header 'ImageId,PredictionString'"),
        (text(KAGGLE_CSV, "ImageId,PredictionString\nx,cat 1 2\n"), "line 2: 'cat 1 2' does not begin with a wnid"),
        (text(KAGGLE_CSV, "ImageId,PredictionString\nx,\n"), "line 2: '' does not begin with a wnid"),
        (text(KAGGLE_CSV, ""), "begins with ''"),
        (text("labels.csv", "file,index\na.JPEG,one\n"), "line 2: 'one' is no class index"),
        (text("labels.csv", "file,index\na.JPEG,1,2\n"), "line 2: expected file,index, got 'a.JPEG,1,2'"),
        (text("labels.csv", f"file,index\n{name(1)}.JPEG,4\n"), f"no label for {name(2)}.JPEG (4 such files)"),
        (devkit(truth="1\n2\n"), "has 2 lines; expected 50000"),
        (devkit(truth="1\n" * 49_999 + "1001\n"), "holds '1001'"),
        (devkit(truth="1\n" * 49_999 + "n0144\n"), "holds 'n0144'"),
        (devkit(wnids=WNIDS[:999]), "names 999 classes; expected the numbers 1 to 1000"),
        (devkit(wnids=["cat", *WNIDS[1:]]), "names 'cat'; expected wnids"),
        (devkit(wnids=[WNIDS[1], *WNIDS[1:]]), "names 999 classes, not 1000"),
    ],
)
def test_missing_or_wrong_labels_are_told_in_one_sentence(
    root: Path, write: Callable[[Path], Any], sentence: str
) -> None:
    write(root)
    with pytest.raises(DatasetError) as caught:
        read_imagenet(root)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no MATLAB file at all" * 20])
def test_another_file_in_the_place_of_the_class_table_is_told(root: Path, content: bytes) -> None:
    write_truth(root / GROUND_TRUTH)
    (root / META).write_bytes(content)
    with pytest.raises(DatasetError, match="is not the development kit's table"):
        read_imagenet(root)


def test_without_scipy_the_csv_is_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devkit()(root)
    real = builtins.__import__

    def without_scipy(module: str, *rest: Any) -> Any:
        if module.startswith("scipy"):
            raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
        return real(module, *rest)

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    with pytest.raises(DatasetError, match=f"needs scipy to be read: pip install scipy, or put {KAGGLE_CSV}"):
        read_imagenet(root)


def test_images_sorted_by_class_are_pointed_to_the_other_reader(tmp_path: Path) -> None:
    (tmp_path / "val" / WNIDS[0]).mkdir(parents=True)
    with pytest.raises(DatasetError, match="imagefolder:PATH reads"):
        read_imagenet(tmp_path)


def test_a_folder_without_images_says_which_are_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"ILSVRC2012_val_00000001\.JPEG"):
        read_imagenet(tmp_path)
