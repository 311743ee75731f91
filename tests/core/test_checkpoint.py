"""Which paths are checkpoints, which are marks, and what is not whole yet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from towline.core.checkpoint import PATTERNS_MAX, SETTLE_MAX_S, Checkpoints
from towline.core.ignore import Rules, Source, SourceKind
from towline.core.unfinished import unfinished


@pytest.mark.parametrize(
    ("path", "is_checkpoint", "is_mark"),
    [
        ("epoch_1.pt", True, False),
        ("runs/a/model.safetensors", True, False),
        ("runs/last.ckpt", True, True),
        ("runs/last.ckpt/shard_0", True, False),
        ("latest", False, True),
        ("runs/checkpoint", False, True),
        ("runs/best.pt", True, True),
        ("train.py", False, False),
        ("latestnews.txt", False, False),
    ],
)
def test_the_usual_names_are_known(path: str, is_checkpoint: bool, is_mark: bool) -> None:
    usual = Checkpoints()
    assert (usual.covers(path), usual.is_mark(path)) == (is_checkpoint, is_mark)


def test_patterns_are_those_of_gitignore() -> None:
    chosen = Checkpoints(["/out/", "*.bin"], ["newest"])
    assert chosen.covers("out/a/b.txt")
    assert not chosen.covers("a/out/b.txt")
    assert chosen.covers("a/b.bin")
    assert chosen.is_mark("a/newest")
    assert not chosen.is_mark("a/latest")


@pytest.mark.parametrize("pattern", ["", "#a", "!a"])
def test_a_pattern_that_says_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"matches nothing|begins with"):
        Checkpoints([pattern])


def test_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        Checkpoints(["a"] * PATTERNS_MAX, ["b"])
    for settle_s in (-0.1, SETTLE_MAX_S + 0.1):
        with pytest.raises(ValueError, match="settled after"):
            Checkpoints(settle_s=settle_s)


def test_what_is_just_not_too_much_is_taken() -> None:
    most = Checkpoints(["a"] * (PATTERNS_MAX - 1), ["b"], settle_s=SETTLE_MAX_S)
    assert most.covers("a")
    assert Checkpoints(settle_s=0.0).settle_s == 0.0


def test_without_patterns_nothing_is_a_checkpoint_and_without_marks_nothing_a_mark() -> None:
    assert not Checkpoints([], ["a"]).covers("a")
    assert not Checkpoints(["a"], []).is_mark("a")


@pytest.mark.parametrize(
    "given", [Checkpoints(), Checkpoints([], [], 0.0, 0), Checkpoints(["a/"], ["b"], 0.25, 7)]
)
def test_checkpoints_survive_the_wire(given: Checkpoints) -> None:
    assert Checkpoints.from_wire(json.loads(json.dumps(given.to_wire()))) == given


NONSENSE: list[Any] = [
    None, [], {}, "abcd", [["a"], [], 0], [["a"], [], 0, None, 1], [["a"], [], 0.5, None],
    [["a"], [], True, None], [["a"], [], 0, -1], [["a"], [], 0, True], [["a"], [], 0, "1"],
    ["a", [], 0, None], [["a"], "b", 0, None], [[1], [], 0, None], [["a"], ["a\nb"], 0, None],
]  # fmt: skip


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_from_the_wire_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"checkpoints are|a time is|a size is|a line of text"):
        Checkpoints.from_wire(value)


@pytest.mark.parametrize(
    ("path", "is_left_out"),
    [
        ("epoch_1.pt.tmp", True),
        ("runs/epoch_1.pt.part", True),
        ("epoch_1.pt", False),
        ("notes.tmp", False),
        ("a/shards/0.bin.tmp", True),
        ("a/shards/deep/0.part", True),
        ("a/shards/0.bin", False),
        ("top/0.tmp", True),
        ("a/top/0.tmp", False),
    ],
)
def test_what_is_not_whole_yet_is_left_out(path: str, is_left_out: bool) -> None:
    lines = tuple(unfinished(["*.pt", "shards/", "/top/"]))
    rules = Rules([Source(SourceKind.CONFIGURATION, "", "checkpoints", lines)])
    assert rules.ignores(path, False) is is_left_out


def test_checkpoints_are_equal_when_made_of_the_same() -> None:
    assert Checkpoints() == Checkpoints()
    assert hash(Checkpoints()) == hash(Checkpoints())
    for other in (Checkpoints(["b"]), Checkpoints(["a"], []), Checkpoints(["a"], size_max=1)):
        assert Checkpoints(["a"]) != other
    assert Checkpoints(["a"]) != ["a"]
    assert "'a'" in repr(Checkpoints(["a"]))
