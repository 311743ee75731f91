"""How long a deletion from the machine waits, and for what."""

from __future__ import annotations

from towline.engine.pen import QUIET_S, Pen

CONTENT, OTHER = b"content", b"other"


def test_all_become_ripe_once_no_more_have_come_for_a_while() -> None:
    pen = Pen()
    pen.put("a", 0.0)
    pen.put("b", 0.2)
    assert pen.deadline() == 0.2 + QUIET_S
    assert pen.ripen(QUIET_S) == set()
    assert pen.ripen(0.2 + QUIET_S) == {"a", "b"}
    assert pen.is_ripe("a")
    assert pen.deadline() is None
    pen.forget(["a"])
    assert [path for path in "ab" if pen.is_ripe(path)] == ["b"]


def test_what_waits_for_a_content_is_not_looked_at_by_the_clock() -> None:
    pen = Pen()
    pen.put_behind("a", {CONTENT})
    pen.look(0.0, lambda: {CONTENT, OTHER})
    assert pen.deadline() is None
    assert pen.ripen(1e9) == set()


def test_once_the_content_has_come_it_waits_like_all_others() -> None:
    pen = Pen()
    pen.put_behind("a", {CONTENT})
    pen.look(5.0, lambda: {OTHER})
    assert pen.deadline() == 5.0 + QUIET_S
    assert pen.ripen(5.0 + QUIET_S) == {"a"}


def test_one_judgement_is_on_all_that_are_in_it() -> None:
    pen = Pen()
    pen.put("a", 0.0)
    pen.put_behind("b", {CONTENT})
    assert pen.ripen(QUIET_S) == {"a", "b"}
    pen.put("a", 0.0)
    pen.put_behind("b", {CONTENT})
    assert pen.empty() == {"a", "b"}
    assert pen.deadline() is None


def test_who_is_in_none_need_not_say_what_is_to_come() -> None:
    def to_come() -> set[bytes]:
        raise AssertionError

    Pen().look(0.0, to_come)
