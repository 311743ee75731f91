"""What is dirty and what is in flight: nothing is lost, and flushing knows when it is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from towline.core.entry import File
from towline.engine.flights import Flights, Way

A, B = File(b"a"), File(b"b")
paths = st.sampled_from(["a", "a/x", "a/x/y", "b"])


def test_a_dirty_path_is_taken_once() -> None:
    flights = Flights()
    flights.note(["a"])
    assert list(flights.take_free()) == ["a"]
    assert not flights.take_free()


def test_a_path_waits_for_what_is_in_flight_at_above_or_below_it() -> None:
    flights = Flights()
    flights.start("a/x", Way.HOT, A, flights.moment)
    flights.note(["a", "a/x", "a/x/y", "a/z", "b"])
    assert sorted(flights.take_free()) == ["a/z", "b"]
    assert flights.land("a/x")
    assert sorted(flights.take_free()) == ["a", "a/x", "a/x/y"]


def test_of_several_changes_of_a_path_the_last_one_lands_it() -> None:
    flights = Flights()
    flights.start("a", Way.HOT, A, 1)
    flights.start("a", Way.HOT, B, 2)
    assert not flights.land("a")
    assert flights.blocks("a")
    assert flights.land("a")
    assert not flights.blocks("a")


def test_what_was_noted_before_a_moment_must_land_before_it_is_done() -> None:
    flights = Flights()
    flights.note(["a"])
    moment = flights.moment
    flights.note(["b"])
    assert not flights.is_done(moment)
    for path, at in flights.take_free().items():
        flights.start(path, Way.BULK, A, at)
    assert not flights.is_done(moment)
    flights.land("a")
    assert flights.is_done(moment)
    assert not flights.is_done(flights.moment)


def test_what_goes_hot_counts_as_sent_and_bulk_does_not() -> None:
    flights = Flights()
    flights.note(["a", "b"])
    taken = flights.take_free()
    flights.start("a", Way.HOT, A, taken["a"])
    assert flights.is_sent(flights.moment)
    flights.start("b", Way.BULK, A, taken["b"])
    assert not flights.is_sent(flights.moment)


def test_what_comes_from_the_machine_is_under_way_and_yet_all_is_there() -> None:
    flights = Flights()
    flights.note(["a", "b"])
    taken = flights.take_free()
    flights.start("a", Way.PULL, A, taken["a"])
    flights.start("b", Way.HOT, A, taken["b"])
    assert not flights.is_there(flights.moment)
    assert flights.not_there() == {"b"}
    flights.land("b")
    assert flights.is_there(flights.moment)
    assert not flights.is_done(flights.moment)
    flights.note(["a"])  # A save, which the pull is in the way of.
    assert not flights.is_there(flights.moment)
    assert flights.not_there() == {"a"}


def test_a_path_noted_again_keeps_its_first_moment() -> None:
    flights = Flights()
    flights.note(["a"])
    moment = flights.moment
    flights.note(["a"])
    assert flights.take_free() == {"a": moment}


def test_when_a_life_ends_all_in_flight_is_dirty_and_what_was_sent_is_told() -> None:
    flights = Flights()
    flights.start("a", Way.HOT, A, 1)
    flights.start("b", Way.PULL, B, 2)
    assert flights.ground() == [("a", A)]
    assert sorted(flights.take_free()) == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from(["note", "take", "land"]), paths), max_size=30))
def test_a_path_is_always_dirty_in_flight_or_landed(steps: list[tuple[str, str]]) -> None:
    flights = Flights()
    flying: set[str] = set()
    dirty: set[str] = set()
    for verb, path in steps:
        if verb == "note":
            flights.note([path])
            dirty.add(path)
        elif verb == "land":
            flights.land(path)
            flying.discard(path)
        else:
            for taken, moment in flights.take_free().items():
                assert taken in dirty
                assert not any(_overlap(taken, other) for other in flying)
                dirty.discard(taken)
                flights.start(taken, Way.HOT, A, moment)
            flying |= {at for at in ("a", "a/x", "a/x/y", "b") if flights.get(at)}
        assert set(flights.dirty) == dirty


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


@given(st.lists(st.sampled_from(["d/x", "d/y", "d/e/x", "x"])), st.sampled_from(["", "d", "d/e"]))
def test_what_lands_in_a_directory_is_as_if_it_landed_one_by_one(
    flying: list[str], directory: str
) -> None:
    together, apart = Flights(), Flights()
    for flights in (together, apart):
        for path in flying:
            flights.start(path, Way.BULK, A, 1)
    landed = [f"{directory}/{name}" if directory else name for name in ("x", "y")]
    together.land_in(directory, landed)
    for path in landed:
        apart.land(path)
    assert sorted(together.waiting()) == sorted(apart.waiting())
    for path in ("d", "d/e", "d/e/x", "d/x", "d/y", "x"):
        assert together.blocks(path) is apart.blocks(path)
