"""Which data set a specification means. No image is read here."""

from __future__ import annotations

from pathlib import Path

from tailgate.errors import DatasetError
from tailgate_loadgen.datasets.files import LabelledFiles
from tailgate_loadgen.datasets.imagefolder import read_imagefolder
from tailgate_loadgen.datasets.imagenet import read_imagenet

_READERS = {"imagefolder": read_imagefolder, "imagenet": read_imagenet}


def find_files(spec: str) -> LabelledFiles | None:
    """The files of a data set by its specification; None for the digits, which are not files.

    Raises:
        DatasetError: There is no such data set, or something is missing in it.
    """
    if spec == "digits":
        return None
    kind, _, path = spec.partition(":")
    if kind not in _READERS or not path:
        raise DatasetError(f"--dataset is {spec!r}; expected digits, imagefolder:PATH or imagenet:PATH")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DatasetError(f"--dataset is {spec!r}, but {root} is not a folder; name the one that holds the images")
    return _READERS[kind](root)
