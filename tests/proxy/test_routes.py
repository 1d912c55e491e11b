"""What is done for which model, as the configuration asks for it; and the default answers, read at the start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.config import read_config
from tailgate.errors import ConfigError
from tailgate.outcome import Mode
from tailgate.pb import inference_pb2 as pb
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.default_answer import DefaultAnswer, read_default_answer
from tailgate_proxy.routes import Routes, build_routes

ANSWER: dict[str, Any] = {
    "modelName": "fallback",
    "modelVersion": "0",
    "outputs": [{"name": "class", "datatype": "INT64", "shape": ["1"], "contents": {"int64Contents": ["7"]}}],
}


def routes(**settings: object) -> Routes:
    return build_routes(read_config(ProxyConfig, None, {"upstream": "127.0.0.1:1", "deadline": "50ms"} | settings))


def written(folder: Path, content: object, name: str = "answer.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_model_has_what_it_sets_itself_and_else_what_the_proxy_has(tmp_path: Path) -> None:
    everywhere, own = written(tmp_path, ANSWER), written(tmp_path, ANSWER | {"modelName": "own"}, "own.json")
    found = routes(
        mode="observe",
        default_answer=str(everywhere),
        models={
            "plain": {},
            "late": {"deadline": "200ms", "output": "scores"},
            "strict": {"mode": "enforce", "deadline": "10ms"},
            "soft": {"mode": "default-answer", "default_answer": str(own)},
        },
    )
    shown = {name: (found.of(name).mode, found.of(name).deadline_s, found.of(name).output) for name in
             ("", "plain", "late", "strict", "soft")}  # fmt: skip
    assert shown == {
        "": (Mode.OBSERVE, 0.05, ""),
        "plain": (Mode.OBSERVE, 0.05, ""),
        "late": (Mode.OBSERVE, 0.2, "scores"),
        "strict": (Mode.ENFORCE, 0.01, ""),
        "soft": (Mode.DEFAULT_ANSWER, 0.05, ""),
    }
    assert found.longest_deadline_s == 0.2
    assert names_of(found.of("soft").default) == "own"
    assert names_of(found.of("plain").default) == "fallback"
    assert routes().of("plain").default is None


def names_of(answer: DefaultAnswer | None) -> str:
    assert answer is not None
    return pb.ModelInferResponse.FromString(answer.message).model_name


@given(st.text(max_size=300))
def test_a_default_answer_carries_the_id_of_the_request_and_nothing_else_changes(request_id: str) -> None:
    plain = pb.ModelInferResponse(model_name="m", model_version="1")
    plain.outputs.add(name="class", datatype="INT64", shape=[1]).contents.int64_contents.append(7)
    encodable = request_id.encode(errors="replace").decode()
    body = DefaultAnswer(plain.SerializeToString()).body(encodable)
    assert body[:5] == b"\0" + (len(body) - 5).to_bytes(4)
    answer = pb.ModelInferResponse.FromString(body[5:])
    assert answer.id == encodable
    answer.id = ""
    assert answer == plain


def test_an_id_in_the_file_is_not_given_to_anybody(tmp_path: Path) -> None:
    answer = read_default_answer(written(tmp_path, ANSWER | {"id": "left-over"}))
    assert pb.ModelInferResponse.FromString(answer.message).id == ""
    assert pb.ModelInferResponse.FromString(answer.body("mine")[5:]).id == "mine"


OUTPUT = ANSWER["outputs"][0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is no ModelInferResponse in JSON"),
        ("{", "is no ModelInferResponse in JSON"),
        ("[1]", "is no ModelInferResponse in JSON"),
        ("7", "is no ModelInferResponse in JSON"),
        ({"modelNam": "x"}, "is no ModelInferResponse in JSON"),
        ({"outputs": "none"}, "is no ModelInferResponse in JSON"),
        ({"modelName": "x"}, "has no outputs; give at least one"),
        ({"outputs": [OUTPUT | {"shape": ["2"]}]}, "contradicts itself"),
        ({"outputs": [OUTPUT | {"shape": ["1" * 30]}]}, "is no ModelInferResponse in JSON"),
        ({"outputs": [OUTPUT], "rawOutputContents": ["AAAA", "AAAA"]}, "contradicts itself"),
        ({"outputs": [OUTPUT], "rawOutputContents": ["AAAA"]}, "contradicts itself"),
    ],
)
def test_every_bad_default_answer_is_one_sentence_that_names_the_file(
    content: object, sentence: str, tmp_path: Path
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        routes(mode="default-answer", default_answer=str(path))
    assert f"default_answer {path} " in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_one_sentence(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "nowhere.json", tmp_path, binary):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            read_default_answer(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [{"mode": "default-answer"}, {"models": {"m": {"mode": "default-answer"}}}],
)
def test_a_mode_that_gives_an_answer_needs_one(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        routes(**settings)
    assert "default_answer" in str(caught.value) or "default-answer" in str(caught.value)
    assert "\n" not in str(caught.value)
