"""Each warning is due once, and the last of those that are past is the one that is said."""

from __future__ import annotations

from towline.core.deadline import CHANGE_S, LAST_S, Countdown, Deadline

HOUR = 3600.0
END = Deadline(10 * HOUR, "it ends")


def test_each_moment_is_due_once() -> None:
    countdown = Countdown()
    assert countdown.next_at() is None
    assert not countdown.due(0.0)
    assert countdown.set(END)
    said = []
    now = 0.0
    while (next_at := countdown.next_at()) is not None:
        assert not countdown.due((now + next_at) / 2)
        now = next_at
        assert countdown.due(now)
        assert not countdown.due(now)
        said.append(END.at - now)
    assert said == [HOUR, 900.0, 300.0, LAST_S, 0.0]


def test_of_several_that_are_past_one_is_said() -> None:
    countdown = Countdown()
    countdown.set(END)
    assert countdown.due(END.at - 600)
    assert not countdown.due(END.at - 599)
    assert countdown.next_at() == END.at - 300


def test_the_same_told_again_changes_nothing() -> None:
    countdown = Countdown()
    countdown.set(END)
    assert countdown.due(END.at - HOUR)
    assert not countdown.set(Deadline(END.at + CHANGE_S / 2, END.why))
    assert countdown.deadline == END
    assert countdown.set(Deadline(END.at - HOUR, "a notice"))
    assert countdown.due(END.at - HOUR)
    assert countdown.set(None)
    assert countdown.next_at() is None


def test_another_time_or_another_reason_is_another_deadline() -> None:
    countdown = Countdown()
    assert not countdown.set(None), "none was known"
    countdown.set(END)
    later = Deadline(END.at + CHANGE_S, END.why)
    assert countdown.set(later)
    assert countdown.set(Deadline(later.at, "a notice"))
    assert not countdown.set(Deadline(later.at, "a notice"))


def test_a_later_deadline_is_warned_of_from_the_beginning() -> None:
    countdown = Countdown()
    countdown.set(END)
    assert countdown.due(END.at)
    assert countdown.next_at() is None
    countdown.set(Deadline(END.at + 2 * HOUR, END.why))
    assert countdown.next_at() == END.at + HOUR
    assert not countdown.due(END.at)
