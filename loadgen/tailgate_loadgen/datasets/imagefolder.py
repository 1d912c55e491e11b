"""Images sorted into folders by class, as torchvision's `ImageFolder` reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tailgate.errors import DatasetError
from tailgate_loadgen.datasets.files import SUFFIXES, LabelledFiles, image_files, list_folder


def read_imagefolder(root: Path) -> LabelledFiles:
    """One folder for each class; a class's index is its place in the sorted order of the folders' names.

    Files lie at any depth below their class's folder, and are taken in sorted order.

    Raises:
        DatasetError: There is no class, or one without an image.
    """
    folders = [path for path in list_folder(root) if path.is_dir()]
    if not folders:
        raise DatasetError(f"{root} holds no folder; an imagefolder has one folder of images for each class")
    files: list[Path] = []
    labels: list[int] = []
    for index, folder in enumerate(folders):
        found = sorted(image_files(folder))
        if not found:
            raise DatasetError(
                f"class folder {folder} holds no image; add images ({' '.join(sorted(SUFFIXES))}), or remove the "
                "folder, which shifts the index of every class after it"
            )
        files += found
        labels += [index] * len(found)
    return LabelledFiles(tuple(files), np.array(labels, np.int64), tuple(folder.name for folder in folders))
