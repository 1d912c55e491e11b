"""Label values are a closed set, whatever clients send."""

from __future__ import annotations

from tailgate_proxy.known_models import MAX_KNOWN, OTHER, KnownModels


def test_a_hundred_thousand_made_up_names_make_one_label() -> None:
    known = KnownModels(["digits"])
    assert {known.labels(f"made-up-{n}", str(n)) for n in range(100_000)} == {(OTHER, OTHER)}


def test_a_version_nobody_answered_for_is_other() -> None:
    known = KnownModels(["digits"])
    known.learn("digits", "1")
    assert known.labels("digits", "1") == ("digits", "1")
    assert known.labels("digits", "999") == ("digits", OTHER)


def test_a_request_without_a_version_belongs_to_the_only_one_there_is() -> None:
    known = KnownModels(["digits"])
    assert known.labels("digits", "") == ("digits", "")
    known.learn("digits", "1")
    assert known.labels("digits", "") == ("digits", "1")
    known.learn("digits", "2")
    assert known.labels("digits", "") == ("digits", "")


def test_learning_is_bounded_in_models_versions_and_lengths() -> None:
    known = KnownModels([])
    learnt = [known.learn(f"model-{n}", "1") for n in range(MAX_KNOWN + 50)]
    assert learnt.count(True) == MAX_KNOWN
    assert [known.learn("model-0", f"v{n}") for n in range(MAX_KNOWN + 50)].count(True) == MAX_KNOWN - 1
    assert not KnownModels([]).learn("x" * 65, "1")
    assert not KnownModels([]).learn("x", "1" * 65)
    assert not KnownModels([]).learn("", "1")
