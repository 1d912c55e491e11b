"""The ImageNet (ILSVRC 2012) validation set as it is handed out: 50,000 files in one folder, labels apart.

A model's class index is the place of a class's WordNet id (wnid, such as n01440764) among the 1,000 sorted ones. The
development kit numbers classes in *another* order: its ILSVRC2012_ID, from 1. Taking that number, less one, for the
index gives an accuracy of about 0.1 % without any other sign of an error; so its labels are used only together with
its `meta.mat`, which says which wnid each number is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tailgate.errors import DatasetError
from tailgate_loadgen.datasets.files import LabelledFiles, list_folder, read_text

IMAGES = 50_000
CLASSES = 1_000
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
KAGGLE_CSV = "LOC_val_solution.csv"
INDEX_CSV = "labels.csv"

_IMAGE = re.compile(r"ILSVRC2012_val_([0-9]{8})\.(?:JPEG|jpeg|jpg)")
_WNID = re.compile(r"n[0-9]{8}")
_LABEL_FOLDERS = (".", "ILSVRC2012_devkit_t12/data")


def read_imagenet(root: Path) -> LabelledFiles:
    """The validation images below `root` with their labels.

    Images lie in `root` or `root/val`; labels in `root` or `root/ILSVRC2012_devkit_t12/data`, as
    `labels.csv` (file,index), `LOC_val_solution.csv`, or ground truth and `meta.mat` of the development kit: the first
    of these that is there. Any number of images will do, but each one must have a label.

    Raises:
        DatasetError: Images or labels are missing, or contradict themselves.
    """
    files = _find_images(root)
    kaggle, index = _find(root, KAGGLE_CSV), _find(root, INDEX_CSV)
    truth, meta = _find(root, GROUND_TRUTH), _find(root, META)
    names: tuple[str, ...]
    if index is not None:
        source, labels, names = index, read_index_csv(index), ()
    elif kaggle is not None:
        source = kaggle
        labels, names = rank_wnids(read_kaggle_csv(kaggle), kaggle)
    elif truth is not None and meta is not None:
        source = truth
        labels, names = rank_wnids(_apply_meta(read_ground_truth(truth), read_meta(meta), truth), meta)
    else:
        also = f"; {truth} is there, but without {META} beside it its numbers cannot be mapped" if truth else ""
        raise DatasetError(
            f"{root} has no labels: put {KAGGLE_CSV}, or {INDEX_CSV} (file,index), or the development kit's "
            f"{GROUND_TRUTH} and {META} there or in {root / _LABEL_FOLDERS[1]}{also}"
        )
    unlabelled = [file.name for file in files if file.stem not in labels]
    if unlabelled:
        raise DatasetError(
            f"{source} has no label for {unlabelled[0]} ({len(unlabelled)} such files); every image needs one"
        )
    return LabelledFiles(tuple(files), np.array([labels[file.stem] for file in files], np.int64), names)


def read_ground_truth(path: Path) -> list[int]:
    """ILSVRC2012_ID of image 1, 2, …

    Raises:
        DatasetError: It does not hold 50,000 numbers of 1 to 1,000.
    """
    lines = read_text(path).split()
    wrong = next((line for line in lines if not line.isdecimal() or not 1 <= int(line) <= CLASSES), None)
    if len(lines) != IMAGES or wrong is not None:
        fault = f"holds {wrong!r}" if wrong is not None else f"has {len(lines)} lines"
        raise DatasetError(f"{path} {fault}; expected {IMAGES} lines, each a number of 1 to {CLASSES}")
    return [int(line) for line in lines]


def read_meta(path: Path) -> dict[int, str]:
    """The wnid of each ILSVRC2012_ID.

    Raises:
        DatasetError: scipy, which reads the format, is not installed, or the file is another one.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ModuleNotFoundError as error:
        raise DatasetError(
            f"{path} is a MATLAB file, which needs scipy to be read: pip install scipy, or put {KAGGLE_CSV} beside it"
        ) from error
    try:
        synsets = loadmat(path, squeeze_me=True)["synsets"]
        # Beside the 1,000 classes the table holds the nodes of the hierarchy above them, which have children.
        wnids = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
    # All that scipy raises for files of other kinds; NotImplementedError is its word for MATLAB's newer format.
    except (MatReadError, OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError) as error:
        raise DatasetError(f"{path} is not the development kit's table of classes ({error})") from error
    if sorted(wnids) != list(range(1, CLASSES + 1)):
        raise DatasetError(f"{path} names {len(wnids)} classes; expected the numbers 1 to {CLASSES}")
    return wnids


def read_kaggle_csv(path: Path) -> dict[str, str]:
    """The wnid of each image, by the file's name without suffix: ``ImageId,PredictionString``, wnid first.

    Raises:
        DatasetError: A row has another form.
    """
    return {
        Path(image).stem: _wnid(answer, path, row) for row, image, answer in _read_csv(path, "ImageId,PredictionString")
    }


def read_index_csv(path: Path) -> dict[str, int]:
    """The class index of each image, by the file's name without suffix: ``file,index``, from 0.

    Raises:
        DatasetError: A row has another form.
    """
    return {Path(image).stem: _index(answer, path, row) for row, image, answer in _read_csv(path, "file,index")}


def rank_wnids(wnids: Mapping[str, str], source: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Class indexes in the order of sorted wnids, and those wnids.

    Args:
        wnids: By image; all 1,000 must occur, for the place of one depends on all the others.
        source: What to call their origin in an error.

    Raises:
        DatasetError: There are more or fewer.
    """
    names = tuple(sorted(set(wnids.values())))
    if len(names) != CLASSES:
        raise DatasetError(
            f"{source} names {len(names)} classes, not {CLASSES}, so a class's index cannot be told from it; give the "
            f"whole file, or a {INDEX_CSV} (file,index)"
        )
    rank = {wnid: index for index, wnid in enumerate(names)}
    return {image: rank[wnid] for image, wnid in wnids.items()}, names


def _apply_meta(identifiers: Sequence[int], wnids: Mapping[int, str], truth: Path) -> dict[str, str]:
    for wnid in wnids.values():
        if _WNID.fullmatch(wnid) is None:
            raise DatasetError(f"the class table beside {truth} names {wnid!r}; expected wnids such as n01440764")
    return {f"ILSVRC2012_val_{number:08}": wnids[identifier] for number, identifier in enumerate(identifiers, 1)}


def _find_images(root: Path) -> list[Path]:
    entries = [list_folder(folder) for folder in (root, root / "val") if folder.is_dir()]
    for folder in entries:
        files = [path for path in folder if _IMAGE.fullmatch(path.name)]
        if files:
            return files
    sorted_by_class = any(_WNID.fullmatch(path.name) for folder in entries for path in folder)
    hint = "; it is sorted into folders by class, which --dataset imagefolder:PATH reads" if sorted_by_class else ""
    raise DatasetError(f"{root} holds no ILSVRC2012_val_00000001.JPEG … , neither itself nor in val{hint}")


def _find(root: Path, name: str) -> Path | None:
    return next((path for path in (root / folder / name for folder in _LABEL_FOLDERS) if path.is_file()), None)


def _read_csv(path: Path, header: str) -> Iterator[tuple[int, str, str]]:
    """Line number, image and answer of every row."""
    lines = read_text(path).replace("\0", "\N{REPLACEMENT CHARACTER}").splitlines()
    if not lines or lines[0].strip() != header:
        raise DatasetError(f"{path} begins with {''.join(lines[:1])!r}; expected the header {header!r}")
    for number, row in enumerate(csv.reader(lines[1:]), 2):
        if len(row) != 2:
            raise DatasetError(f"{path}, line {number}: expected {header}, got {','.join(row)!r}")
        yield number, row[0], row[1]


def _wnid(answer: str, path: Path, line: int) -> str:
    wnid = answer.split(maxsplit=1)[0] if answer.strip() else ""
    if _WNID.fullmatch(wnid) is None:
        raise DatasetError(f"{path}, line {line}: {answer!r} does not begin with a wnid such as n01440764")
    return wnid


def _index(answer: str, path: Path, line: int) -> int:
    if not answer.strip().isdecimal():
        raise DatasetError(f"{path}, line {line}: {answer!r} is no class index; expected a whole number from 0")
    return int(answer)
