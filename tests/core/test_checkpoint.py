"""Which paths are checkpoints, which are marks, and what is not whole yet."""

from __future__ import annotations

import pytest

from towline.core.checkpoint import Checkpoints, natural, unfinished
from towline.core.ignore import Rules, Source, SourceKind


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
        Checkpoints(["a"] * 1001)
    with pytest.raises(ValueError, match="settled after"):
        Checkpoints(settle_s=-1.0)


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


def test_numbers_in_names_count() -> None:
    names = ["epoch_10.pt", "epoch_9.pt", "epoch_9b.pt", "epoch"]
    assert sorted(names, key=natural) == ["epoch", "epoch_9.pt", "epoch_9b.pt", "epoch_10.pt"]


def test_checkpoints_are_equal_when_made_of_the_same() -> None:
    assert Checkpoints() == Checkpoints()
    assert hash(Checkpoints()) == hash(Checkpoints())
    assert Checkpoints(["a"]) != Checkpoints(["b"])
    assert "'a'" in repr(Checkpoints(["a"]))
