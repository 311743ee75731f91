from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core import gather as module
from towline.core.gather import Gather

A_B = frozenset({"a", "b"})


@pytest.fixture
def gather() -> Gather:
    return Gather(
        quiet_lone_s=1, quiet_burst_s=5, longest_s=50, hold_longest_s=2_000, writing_quiet_s=100
    )


def test_nothing_is_due_when_nothing_was_noted(gather: Gather) -> None:
    assert gather.deadline() is None
    assert gather.take(now=10**9) == frozenset()


def test_a_lone_path_goes_after_the_short_quiet(gather: Gather) -> None:
    gather.note(["a"], now=10)
    assert gather.deadline() == 11
    assert gather.take(now=10.9) == frozenset()
    assert gather.take(now=11) == {"a"}
    assert gather.deadline() is None


def test_the_only_path_that_waits_is_known(gather: Gather) -> None:
    assert gather.lone is None
    gather.note(["a"], now=10)
    assert gather.lone == "a"
    gather.note(["b"], now=10)
    assert gather.lone is None


def test_several_paths_wait_for_quiet_and_go_together(gather: Gather) -> None:
    gather.note(["a"], now=10)
    gather.note(["b"], now=10.5)
    assert gather.deadline() == 15.5
    gather.note(["a"], now=15)
    assert gather.take(now=19.9) == frozenset()
    assert gather.take(now=20) == A_B


def test_the_names_of_a_rename_go_after_the_short_quiet(gather: Gather) -> None:
    gather.note(["a"], now=9)  # What is renamed was written before.
    gather.note(["a", "b"], now=9.5, whole=True)
    assert gather.deadline() == 10
    assert gather.take(now=10) == A_B


def test_what_comes_beside_a_rename_makes_it_a_group(gather: Gather) -> None:
    gather.note(["a", "b"], now=10, whole=True)
    gather.note(["c"], now=10.5)
    assert gather.deadline() == 15.5
    gather.take_all()
    gather.note(["c"], now=20)
    gather.note(["a", "b"], now=20, whole=True)
    assert gather.deadline() == 25


def test_a_group_that_keeps_growing_goes_at_its_bound(gather: Gather) -> None:
    for now in range(50):
        gather.note([f"{now}", "again"], now)
        assert gather.take(now) == frozenset()
    assert gather.deadline() == 50
    assert len(gather.take(now=50)) == 51


def test_a_path_is_given_out_once_however_often_it_was_noted(gather: Gather) -> None:
    gather.note(["a", "a"], now=0)
    gather.note(["a"], now=0.5)
    assert gather.take(now=1) == {"a"}
    assert gather.take_all() == frozenset()


def test_while_held_nothing_goes_and_at_the_release_all_of_it(gather: Gather) -> None:
    gather.note(["a"], now=0)
    gather.hold(now=0.5)
    gather.note(["b"], now=700)
    assert gather.take(now=1_000) == frozenset()
    gather.release()
    assert gather.take(now=1_000) == A_B


def test_a_hold_is_bounded_and_does_not_begin_anew(gather: Gather) -> None:
    gather.hold(now=0)
    gather.note(["a"], now=1)
    gather.hold(now=1_500)
    assert gather.deadline() == 2_000
    assert gather.take(now=2_000) == {"a"}
    gather.note(["b"], now=3_000)  # The lock was left behind by a crash: it costs nothing more.
    assert gather.take(now=3_001) == {"b"}


def test_a_file_that_is_being_written_waits_for_a_pause(gather: Gather) -> None:
    gather.note_writing(["log"], now=0)
    gather.note_writing(["log"], now=60)
    assert gather.take(now=100) == frozenset()
    assert gather.deadline() == 160
    assert gather.take(now=160) == {"log"}


def test_a_file_that_is_written_without_a_pause_goes_at_the_bound(gather: Gather) -> None:
    for now in range(0, 2_000, 50):
        gather.note_writing(["log"], now)
        assert gather.take(now) == frozenset()
    assert gather.take(now=2_000) == {"log"}


def test_a_file_that_was_closed_no_longer_waits(gather: Gather) -> None:
    gather.note_writing(["a"], now=0)
    gather.note(["a"], now=0)
    assert gather.take(now=1) == {"a"}
    assert gather.deadline() in (None, 100)
    assert gather.take(now=100) == frozenset()
    assert gather.deadline() is None


def test_a_write_after_the_close_is_looked_at_once_more(gather: Gather) -> None:
    gather.note(["a"], now=0)
    gather.note_writing(["a"], now=0.5)
    assert gather.take(now=1) == {"a"}
    assert gather.take(now=100.5) == {"a"}


def test_a_flush_takes_also_what_is_held_or_being_written(gather: Gather) -> None:
    gather.hold(now=0)
    gather.note(["a"], now=0)
    gather.note_writing(["b"], now=0)
    assert gather.take_all() == A_B
    assert gather.deadline() is None


def test_too_many_paths_become_an_overflow_until_all_is_taken(
    gather: Gather, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_MAX", 3)
    gather.note(["a", "b"], now=0)
    gather.note_writing(["c"], now=0)
    assert not gather.overflowed
    gather.note(["d"], now=0)
    assert gather.overflowed
    gather.note(["e"], now=1)
    assert gather.take_all() == frozenset()
    assert not gather.overflowed
    gather.note(["f"], now=2)
    assert gather.take(now=3) == {"f"}


paths = st.sets(st.sampled_from("abcdef"), min_size=1, max_size=4)
notes = st.lists(
    st.tuples(
        st.floats(0, 30), st.sampled_from(["note", "note_writing", "hold", "release"]), paths
    ),
    max_size=40,
)


@given(steps=notes)
def test_no_path_is_lost_and_none_waits_beyond_the_bounds(
    steps: list[tuple[float, str, set[str]]],
) -> None:
    gather = Gather()
    bound = 0.05 + 2 * 2.0  # The longest group, a writer that never pauses, one hold.
    waiting: dict[str, float] = {}
    now = 0.0
    for pause, verb, noted in [*steps, (10.0, "release", set[str]())]:
        until = now + pause
        while (deadline := gather.deadline()) is not None and deadline <= until:
            now = max(now, deadline)
            for path in gather.take(now):
                # A path that was written to again after it was noted comes twice.
                assert now - waiting.pop(path, now) <= bound
        now = until
        if verb == "hold":
            gather.hold(now)
        elif verb == "release":
            gather.release()
        else:
            getattr(gather, verb)(sorted(noted), now)
            for path in noted:
                waiting.setdefault(path, now)
    taken = gather.take_all()
    assert set(waiting) <= taken


@given(
    steps=st.lists(st.tuples(st.sampled_from(["note", "note_writing"]), paths), max_size=8),
    random=st.randoms(use_true_random=False),
)
def test_the_order_of_what_is_noted_at_one_time_does_not_matter(
    steps: list[tuple[str, set[str]]], random: Random
) -> None:
    def taken_at_each_time(steps: list[tuple[str, set[str]]]) -> list[frozenset[str]]:
        gather = Gather()
        for verb, noted in steps:
            getattr(gather, verb)(sorted(noted), 1.0)
        return [gather.take(1.0 + ms / 1000) for ms in range(0, 200, 1)]

    shuffled = list(steps)
    random.shuffle(shuffled)
    assert taken_at_each_time(shuffled) == taken_at_each_time(steps)


def test_a_group_goes_on_without_those_taken_ahead_and_has_an_end(gather: Gather) -> None:
    gather.note(["a", "b", "c"], now=10)
    assert gather.take_ahead(["a", "b", "c", "unknown"], now=11) == {"a", "b"}
    assert gather.is_part
    assert gather.deadline() == 15, "one that is left of several is no lone path"
    gather.note(["a"], now=12)
    assert gather.take(now=16.9) == frozenset()
    assert gather.take(now=17) == {"a", "c"}
    assert not gather.is_part


def test_nothing_is_taken_ahead_of_a_lone_path(gather: Gather) -> None:
    gather.note(["a"], now=10)
    assert gather.take_ahead(["a"], now=10.5) == frozenset()
    assert not gather.is_part
    assert gather.take(now=11) == {"a"}


def test_nothing_is_taken_ahead_while_held_or_from_a_group_that_goes_on_for_too_long(
    gather: Gather,
) -> None:
    gather.note(["a", "b"], now=10)
    gather.hold(now=10)
    assert gather.take_ahead(["a"], now=11) == frozenset()
    gather.release()
    assert gather.take_ahead(["a"], now=10 + 4 * 50) == frozenset()
    assert gather.take(now=10 + 4 * 50) == {"a", "b"}


def test_all_that_is_taken_ends_a_group_of_which_parts_were(gather: Gather) -> None:
    gather.note(["a", "b"], now=10)
    assert gather.take_ahead(["a"], now=10) == {"a"}
    assert gather.take_all() == {"b"}
    assert not gather.is_part
