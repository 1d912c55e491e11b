"""Data sets made of files: labels, pixels, cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tailgate.errors import DatasetError
from tailgate.protocol.tensors import decode_bytes_elements
from tailgate_loadgen.datasets.cache import cache_key
from tailgate_loadgen.datasets.dataset import Dataset, Fp32Rows, MemoryRows
from tailgate_loadgen.datasets.imagefolder import read_imagefolder
from tailgate_loadgen.datasets.prepare import Payload, prepare_digits, prepare_files
from tailgate_loadgen.datasets.row_file import DamagedFile, MappedRows, write_rows
from tailgate_loadgen.datasets.transform import Transform, decode_file

MakeImage = Callable[..., Path]
TRANSFORM = Transform(resize=36, crop=32, interpolation="bilinear")


class Listener:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int, int]] = []
        self.notes: list[str] = []

    def progress(self, what: str, done: int, total: int) -> None:
        self.done.append((what, done, total))

    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def prepared(self) -> bool:
        """Whether images were decoded."""
        return any(what == "preparing images" for what, _, _ in self.done)


@pytest.fixture
def folder(tmp_path: Path, make_image: MakeImage) -> Path:
    """Two classes, one of them with files of all kinds and at several depths."""
    root = tmp_path / "images"
    make_image(root / "b" / "1.jpg", seed=1)
    make_image(root / "b" / "0.JPEG", width=33, height=70, seed=2)
    make_image(root / "b" / "deep" / "er" / "2.png", seed=3, mode="RGBA")
    make_image(root / "a" / "x.png", width=50, height=50, seed=4, mode="L")
    (root / "b" / "notes.txt").write_text("no image")
    (root / "b" / ".hidden").mkdir()
    (root / "readme.md").write_text("no class")
    return root


def prepare(
    root: Path, cache: Path, payload: Payload = "uint8", transform: Transform = TRANSFORM
) -> tuple[Dataset, Listener]:
    listener = Listener()
    return prepare_files(read_imagefolder(root), payload, transform, cache, listener), listener


def test_the_index_of_a_class_is_the_place_of_its_folder_in_sorted_order(folder: Path) -> None:
    source = read_imagefolder(folder)
    names = [str(path.relative_to(folder)) for path in source.files]
    assert names == ["a/x.png", "b/0.JPEG", "b/1.jpg", "b/deep/er/2.png"]
    assert source.labels.tolist() == [0, 1, 1, 1]
    assert source.class_names == ("a", "b")


def test_labels_and_files_are_those_of_torchvisions_imagefolder(folder: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    theirs = dict(datasets.ImageFolder(folder).samples)
    source = read_imagefolder(folder)
    assert {str(path): label for path, label in zip(source.files, source.labels.tolist(), strict=True)} == theirs


@pytest.mark.parametrize("size", [(60, 48), (48, 60), (33, 70), (36, 36), (501, 375), (20, 90), (37, 36)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "box"])
def test_pixels_are_those_of_torchvisions_evaluation_transform(
    tmp_path: Path, make_image: MakeImage, size: tuple[int, int], interpolation: str
) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    path = make_image(tmp_path / "image.png", *size)
    mode = transforms.InterpolationMode(interpolation)
    expected = transforms.Compose([transforms.Resize(36, interpolation=mode), transforms.CenterCrop(32)])(
        Image.open(path).convert("RGB")
    )
    ours = np.frombuffer(decode_file(path, Transform(36, 32, interpolation)), np.uint8).reshape(3, 32, 32)
    assert (ours == np.asarray(expected).transpose(2, 0, 1)).all()


def test_each_payload_carries_the_sample_it_says(folder: Path, tmp_path: Path) -> None:
    source = read_imagefolder(folder)
    pixels, _ = prepare(folder, tmp_path / "cache")
    floats, _ = prepare(folder, tmp_path / "cache", "fp32")
    encoded, _ = prepare(folder, tmp_path / "cache", "jpeg")
    assert (pixels.datatype, pixels.shape) == ("UINT8", (1, 3, 32, 32))
    assert (floats.datatype, floats.shape) == ("FP32", (1, 3, 32, 32))
    assert (encoded.datatype, encoded.shape) == ("BYTES", (1, 1))
    for sample, path in enumerate(source.files):
        raw = decode_file(path, TRANSFORM)
        assert pixels.payload(sample) == raw
        assert (np.frombuffer(floats.payload(sample), "<f4") == np.frombuffer(raw, np.uint8) / np.float32(255)).all()
        assert decode_bytes_elements(encoded.payload(sample), 1, "image") == [path.read_bytes()]
    assert len({pixels.digest, floats.digest, encoded.digest}) == 3


def test_digits_are_sent_as_they_are_and_encoded_without_loss() -> None:
    import io

    pixels, encoded = prepare_digits("uint8"), prepare_digits("jpeg")
    assert len(pixels) == len(encoded) == 898
    assert (pixels.labels == encoded.labels).all()
    for sample in (0, 450, 897):
        (image,) = decode_bytes_elements(encoded.payload(sample), 1, "image")
        decoded = np.asarray(Image.open(io.BytesIO(image))).transpose(2, 0, 1)
        assert decoded.tobytes() == bytes(pixels.payload(sample))


def test_what_was_prepared_once_is_not_prepared_again(folder: Path, tmp_path: Path) -> None:
    first, listener = prepare(folder, tmp_path / "cache")
    assert listener.prepared
    second, listener = prepare(folder, tmp_path / "cache")
    assert not listener.prepared
    assert first.digest == second.digest
    assert [bytes(first.payload(i)) for i in range(4)] == [bytes(second.payload(i)) for i in range(4)]
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_a_changed_file_or_another_transform_is_prepared_anew(
    folder: Path, tmp_path: Path, make_image: MakeImage
) -> None:
    first, _ = prepare(folder, tmp_path / "cache")
    for transform in (Transform(40, 32, "bilinear"), Transform(36, 32, "bicubic"), Transform(36, 30, "bilinear")):
        assert prepare(folder, tmp_path / "cache", transform=transform)[1].prepared
    make_image(folder / "b" / "1.jpg", seed=9)
    os.utime(folder / "b" / "1.jpg", ns=(1, 1))
    changed, listener = prepare(folder, tmp_path / "cache")
    assert listener.prepared
    assert bytes(changed.payload(2)) == decode_file(folder / "b" / "1.jpg", TRANSFORM) != bytes(first.payload(2))
    assert changed.digest != first.digest


def test_the_key_changes_with_name_size_and_time_of_every_file(tmp_path: Path) -> None:
    def key(name: str, content: str, time_ns: int) -> str:
        path = tmp_path / name
        path.write_text(content)
        os.utime(path, ns=(time_ns, time_ns))
        return cache_key([path], ["pixels"])

    assert key("a", "xx", 1) == key("a", "xx", 1)
    assert len({key("a", "xx", 1), key("a", "xxx", 1), key("a", "xx", 2), key("b", "xx", 1)}) == 4


@pytest.mark.parametrize("where", [0, 5000, -3, -10, -20, -60])
def test_a_damaged_cache_is_made_anew(folder: Path, tmp_path: Path, where: int) -> None:
    first, _ = prepare(folder, tmp_path / "cache")
    expected = [bytes(first.payload(i)) for i in range(4)]
    del first
    (file,) = (tmp_path / "cache").glob("*.rows")
    data = bytearray(file.read_bytes())
    data[where] ^= 0x10
    file.write_bytes(data)
    again, listener = prepare(folder, tmp_path / "cache")
    assert listener.prepared
    assert "damaged" in listener.notes[0]
    assert [bytes(again.payload(i)) for i in range(4)] == expected
    assert not prepare(folder, tmp_path / "cache")[1].prepared


rows = st.lists(st.binary(max_size=40), min_size=1, max_size=20)
on_disk = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)


@on_disk
@given(rows=rows)
def test_rows_come_back_as_they_were_written(tmp_path: Path, rows: list[bytes]) -> None:
    path = tmp_path / "some.rows"
    write_rows(path, rows)
    mapped = MappedRows(path, threads=1)
    assert [bytes(mapped[index]) for index in range(len(mapped))] == rows


@on_disk
@given(rows=rows, data=st.data())
def test_no_damage_goes_unnoticed(tmp_path: Path, rows: list[bytes], data: st.DataObject) -> None:
    path = tmp_path / "some.rows"
    write_rows(path, rows)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(DamagedFile):
        MappedRows(path, threads=1)


def test_a_cache_cut_off_while_it_is_written_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> object:
        yield b"one"
        raise DatasetError("unreadable")

    with pytest.raises(DatasetError):
        write_rows(tmp_path / "some.rows", broken())  # type: ignore[arg-type]  # a generator of bytes that fails
    assert not list(tmp_path.iterdir())


def test_pixels_as_fp32_are_made_from_rows_of_any_length() -> None:
    assert np.frombuffer(Fp32Rows(MemoryRows([b"\x00\xff"]))[0], "<f4").tolist() == [0.0, 1.0]


@pytest.mark.parametrize("payload", ["uint8", "jpeg"])
@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0 cut"])
def test_an_unreadable_image_is_named(folder: Path, tmp_path: Path, payload: Payload, content: bytes) -> None:
    (folder / "b" / "1.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=r"b/1\.jpg cannot be read as an image"):
        prepare(folder, tmp_path / "cache", payload)


def test_a_truncated_jpeg_is_named(folder: Path, tmp_path: Path) -> None:
    path = folder / "b" / "1.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DatasetError, match=r"b/1\.jpg cannot be read as an image"):
        prepare(folder, tmp_path / "cache")


def test_an_image_of_absurd_size_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DatasetError, match="cannot be read as an image"):
        prepare(folder, tmp_path / "cache")
