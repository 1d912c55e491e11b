"""Every malformed request gets one sentence with INVALID_ARGUMENT: from the pure functions and from a real server."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tailgate.errors import InvalidRequest, RequestError
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.tensors import encode_bytes_elements
from tailgate_server.loading import LoadedModel
from tailgate_server.requests import check_request, parse
from tailgate_server.signature import Preprocessing, Signature

SIGNATURE = Signature("digits", "digits", Preprocessing(32, 32, "box", (0.0,) * 3, (1.0,) * 3), 10, (), 4)
PIXELS = 3 * 32 * 32
Change = Callable[[pb.ModelInferRequest], Any]


def valid(rows: int = 1) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="digits", id="a")
    request.inputs.add(name="image", datatype="UINT8", shape=(rows, 3, 32, 32))
    request.raw_input_contents.append(bytes(rows * PIXELS))
    return request


def shaped(*shape: int, size: int = PIXELS) -> Change:
    def change(request: pb.ModelInferRequest) -> None:
        request.inputs[0].shape[:] = shape
        request.raw_input_contents[0] = bytes(size)

    return change


def typed(datatype: str = "UINT8", **contents: Any) -> Change:
    def change(request: pb.ModelInferRequest) -> None:
        request.ClearField("raw_input_contents")
        request.inputs[0].datatype = datatype
        request.inputs[0].contents.CopyFrom(pb.InferTensorContents(**contents))

    return change


def floats(value: float) -> Change:
    def change(request: pb.ModelInferRequest) -> None:
        request.inputs[0].datatype = "FP32"
        request.raw_input_contents[0] = np.full(PIXELS, value, "<f4").tobytes()

    return change


def files(shape: tuple[int, ...], raw: bytes) -> Change:
    def change(request: pb.ModelInferRequest) -> None:
        request.inputs[0].datatype = "BYTES"
        request.inputs[0].shape[:] = shape
        request.raw_input_contents[0] = raw

    return change


def image(width: int, height: int, kind: str = "PNG", mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, kind)
    return file.getvalue()


def classes(**value: Any) -> Change:
    def change(request: pb.ModelInferRequest) -> None:
        request.outputs.add(name="logits").parameters["classification"].CopyFrom(pb.InferParameter(**value))

    return change


def timeout(**value: Any) -> Change:
    return lambda request: request.parameters["timeout"].CopyFrom(pb.InferParameter(**value))


MALFORMED: dict[str, tuple[Change, str]] = {
    "rank": (shaped(3, 32, 32), r"expected shape \[-1, 3, 32, 32\] for UINT8, got \[3, 32, 32\]"),
    "size": (shaped(1, 3, 28, 28), r"got \[1, 3, 28, 28\]"),
    "negative size": (shaped(1, 3, -32, -32), r"got \[1, 3, -32, -32\]"),
    "negative batch": (shaped(-1, 3, 32, 32), r"expected 1 to 4 images in a request, got shape \[-1, 3, 32, 32\]"),
    "no rows": (shaped(0, 3, 32, 32, size=0), r"got shape \[0, 3, 32, 32\]"),
    "batch over the most": (shaped(5, 3, 32, 32, size=5 * PIXELS), "expected 1 to 4 images"),
    "overflowing size": (shaped(2**62, 3, 32, 32, size=0), "expected 1 to 4 images"),
    "product that overflows to 0": (shaped(1, 2**32, 2**32, 32, size=0), "expected shape"),
    "datatype of others": (lambda r: setattr(r.inputs[0], "datatype", "INT64"), "expected datatype UINT8 or FP32 or"),
    "datatype of nobody": (lambda r: setattr(r.inputs[0], "datatype", "FOO"), "got 'FOO'"),
    "too few bytes": (shaped(1, 3, 32, 32, size=PIXELS - 1), f"expected {PIXELS} bytes .* got {PIXELS - 1} bytes"),
    "too many bytes": (shaped(1, 3, 32, 32, size=PIXELS + 1), f"got {PIXELS + 1} bytes"),
    "no data": (lambda r: r.ClearField("raw_input_contents"), "'image' has no data"),
    "two raws": (lambda r: r.raw_input_contents.append(b""), "expected 1 entry for 1 input, got 2"),
    "raw and typed": (lambda r: r.inputs[0].contents.uint_contents.append(1), "got both"),
    "too few typed": (typed(uint_contents=[1, 2]), f"expected {PIXELS} values in uint_contents .* got 2"),
    "empty typed": (typed(), f"expected {PIXELS} values in uint_contents .* got 0"),
    "wrong typed": (typed(fp32_contents=[1.0]), "expected uint_contents for UINT8, got fp32_contents"),
    "two typed": (typed(uint_contents=[1], fp32_contents=[1.0]), "got uint_contents, fp32_contents"),
    "typed too large": (typed(uint_contents=[300] * PIXELS), "expected UINT8 values of 0 to 255, got 300"),
    "input of another name": (lambda r: setattr(r.inputs[0], "name", "x"), "input 'x' is unknown; .* 'image'"),
    "no input": (lambda r: r.ClearField("inputs"), "expected 'image' once, got 0 inputs"),
    "input twice": (lambda r: r.inputs.add().CopyFrom(r.inputs[0]), "expected 'image' once, got 2 inputs"),
    "output of another name": (lambda r: r.outputs.add(name="y"), "output 'y' is unknown; .* 'logits'"),
    "output twice": (lambda r: [r.outputs.add(name="logits") for _ in range(2)], "got 2 outputs"),
    "no classes": (classes(int64_param=0), "expected 1 to 10 classes, got 0"),
    "negative classes": (classes(int64_param=-3), "got -3"),
    "classes in words": (classes(string_param="three"), "expected int64_param, a number of classes, got string_param"),
    "negative timeout": (timeout(int64_param=-1), "parameter 'timeout': .* got -1"),
    "timeout in words": (
        timeout(string_param="1s"),
        "expected int64_param, a number of microseconds, got string_param",
    ),
    "timeout of nothing": (timeout(), "got no value"),
    "pixels over 1": (floats(255.0), "expected FP32 pixels of 0 to 1, got 255 to 255"),
    "pixels below 0": (floats(-0.5), "got -0.5"),
    "pixels that are no numbers": (floats(float("nan")), "got nan"),
    "endless pixels": (floats(float("inf")), "got inf"),
    "shared memory": (
        lambda r: r.inputs[0].parameters["shared_memory_region"].CopyFrom(pb.InferParameter(string_param="r")),
        "not offered here",
    ),
    "files of a wrong shape": (files((1, 2), b""), r"expected shape \[-1\] or \[-1, 1\] for BYTES, got \[1, 2\]"),
    "fewer files": (files((2,), encode_bytes_elements([b"x"])), "expected 2 BYTES elements by its shape, got 1"),
    "more files": (files((1,), encode_bytes_elements([b"x", b"yz"])), "expected 1 BYTES elements by its shape, got 6"),
    "file past the end": (files((1,), b"\xff\xff\xff\xffabc"), "runs past the end"),
    "length past the end": (files((1,), b"\x01\x00"), "runs past the end"),
    "empty file": (files((1,), encode_bytes_elements([b""])), "element 0 is empty"),
}
BAD_FILES: dict[str, tuple[Change, str]] = {
    "no image": (files((1,), encode_bytes_elements([b"hello"])), r"element 0 \(5 bytes\) is no JPEG or PNG"),
    "too many pixels": (
        files((1,), encode_bytes_elements([image(5000, 4000)])),
        "5000 × 4000 pixels; at most 16,000,000",
    ),
    "truncated JPEG": (
        files((1,), encode_bytes_elements([image(64, 64, "JPEG")[:-80]])),
        "damaged image: .*[Tt]runcated",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_request_is_refused_with_what_was_expected_and_what_came(case: str) -> None:
    change, sentence = MALFORMED[case]
    request = valid()
    change(request)
    with pytest.raises(InvalidRequest, match=sentence):
        check_request(request, SIGNATURE)


@pytest.fixture
async def client(serve: Callable[..., AbstractAsyncContextManager[Any]], digits: LoadedModel) -> AsyncIterator[Any]:
    async with serve([digits]) as connected:
        yield connected


async def test_a_server_refuses_each_of_them_as_an_invalid_argument_and_goes_on(client: Any) -> None:
    for case, (change, sentence) in (MALFORMED | BAD_FILES).items():
        request = valid()
        change(request)
        code, details = await client.refused(request)
        assert code == "INVALID_ARGUMENT", case
        with pytest.raises(InvalidRequest, match=sentence):
            raise InvalidRequest(details)
    assert list((await client.infer(valid(4))).outputs[0].shape) == [4, 10]


def test_a_valid_request_comes_out_as_it_was_sent() -> None:
    request = valid(2)
    request.raw_input_contents[0] = bytes(range(256)) * (2 * PIXELS // 256)
    checked = check_request(request, SIGNATURE)
    assert isinstance(checked.images, np.ndarray)
    assert checked.images.shape == (2, 3, 32, 32)
    assert checked.images.tobytes() == request.raw_input_contents[0]
    assert (checked.top, checked.timeout_s) == (None, None)


@pytest.mark.parametrize(
    ("change", "top", "timeout_s"),
    [
        (classes(int64_param=3), 3, None),
        (classes(uint64_param=3), 3, None),
        (classes(int64_param=99), 10, None),
        (timeout(int64_param=50_000), None, 0.05),
        (timeout(int64_param=0), None, None),
        (lambda r: r.outputs.add(name="logits"), None, None),
        (lambda r: r.parameters["triton_anything"].CopyFrom(pb.InferParameter(bool_param=True)), None, None),
    ],
)
def test_parameters_are_read_and_unknown_ones_ignored(change: Change, top: int | None, timeout_s: float | None) -> None:
    request = valid()
    change(request)
    checked = check_request(request, SIGNATURE)
    assert (checked.top, checked.timeout_s) == (top, timeout_s)


def test_typed_floats_and_typed_files_are_taken() -> None:
    request = valid()
    typed("FP32", fp32_contents=[0.5] * PIXELS)(request)
    assert np.array_equal(check_request(request, SIGNATURE).images, np.full((1, 3, 32, 32), 0.5, np.float32))
    request.inputs[0].shape[:] = (1,)
    typed("BYTES", bytes_contents=[b"file"])(request)
    assert check_request(request, SIGNATURE).images == [b"file"]


@given(
    base=st.sampled_from(["UINT8", "FP32", "BYTES", "typed"]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6), st.integers(0, 6)), max_size=4),
    whole=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_mutated_bytes_never_raise_anything_but_a_refusal(
    base: str, edits: list[tuple[float, bytes, int]], whole: bool
) -> None:
    request = valid()
    if base == "FP32":
        floats(0.5)(request)
    elif base == "BYTES":
        files((1,), encode_bytes_elements([b"a file"]))(request)
    elif base == "typed":
        typed(uint_contents=[7] * PIXELS)(request)
    timeout(int64_param=5)(request)
    classes(int64_param=3)(request)
    body = request.SerializeToString()
    # Most of a request is pixels; what matters lies before and behind them.
    reach = len(body) if whole else min(len(body), 120)
    for place, inserted, removed in edits:
        at = int(place * reach)
        body = body[:at] + inserted + body[at + removed :]
    try:
        checked = check_request(parse(body, pb.ModelInferRequest), SIGNATURE)
    except RequestError:
        return
    assert len(checked.images) in (1, 2, 3, 4)
