"""What a kernel is told has changed: all of it, or that anything may have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from towline.agent.changes import PATHS_MAX, TEXT_MAX, Changes


def test_only_what_came_after_the_position_is_told() -> None:
    changes = Changes("life")
    changes.note(["/a", "/b"])
    position = changes.position
    assert changes.since(position) == []
    changes.note(["/c", "/a"])
    assert changes.since(position) == ["/a", "/c"]


def test_another_life_and_nonsense_mean_everything() -> None:
    changes = Changes("life")
    for position in (
        None,
        7,
        "",
        "life",
        "other:0",
        "life:-1",
        "life:1",
        "life:x",
        "life:" + "9" * 99,
    ):
        assert changes.since(position) is None
    assert changes.since("life:0") == []


def test_after_a_scan_everything_may_have_changed() -> None:
    changes = Changes("life")
    position = changes.position
    changes.note_all()
    assert changes.since(position) is None
    assert changes.since(changes.position) == []


def test_beyond_its_room_it_says_so() -> None:
    changes = Changes("life")
    before = changes.position
    changes.note(["/first"])
    position = changes.position
    changes.note(f"/{number}" for number in range(PATHS_MAX))
    assert changes.since(before) is None
    assert len(changes.since(position) or ()) == PATHS_MAX
    changes.note(["x" * TEXT_MAX])
    assert changes.since(position) is None


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=3), max_size=20), st.data())
def test_whoever_asks_at_any_time_misses_nothing(
    groups: list[list[str]], data: st.DataObject
) -> None:
    changes = Changes("life")
    noted: list[tuple[str, list[str]]] = []
    for group in groups:
        noted.append((changes.position, group))
        changes.note(group)
    for number, (position, _) in enumerate(noted):
        later = {path for _, group in noted[number:] for path in group}
        assert set(changes.since(position) or ()) == later
