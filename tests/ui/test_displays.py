"""What a person sees: the live display at two widths, plain lines, JSON lines."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import threading
import time

import pytest
from rich.console import Console

from towline.engine.events import (
    EVENT_NAMES,
    ConflictKept,
    DeadlineNear,
    Disconnected,
    Equipped,
    ForwardFailed,
    Held,
    Kept,
    LeftOut,
    Note,
    ProblemFound,
    Progress,
    Ready,
    Received,
    Restored,
    Restoring,
    Resumed,
    Revision,
    State,
    Status,
    Stopped,
    as_json,
)
from towline.engine.rate import WINDOW_S, Rate
from towline.errors import UserError
from towline.ui.display import UntilGone
from towline.ui.from_json import event_from_json, status_from_json
from towline.ui.jsonl import Jsonl
from towline.ui.live import PROBLEMS_PRINTED, Live
from towline.ui.plain import Plain
from towline.ui.words import (
    event_text,
    left_out_texts,
    safe_text,
    shown,
    size_text,
    status_lines,
    time_text,
)

LIVE = Status(
    workspace="demo",
    project="/srv/demo",
    destination="gpu-box",
    machine_path="~/demo",
    state=State.LIVE,
    since=1000.0,
    revision=12,
    rtt_ms=41.3,
    conflicts=1,
    problems=2,
    watching="watching by looking: not enough watches",
)
FIRST = dataclasses.replace(
    LIVE,
    state=State.FIRST_SYNC,
    revision=0,
    conflicts=0,
    problems=0,
    watching="",
    behind_files=7796,
    behind_size=1_080_000_000,
    progress=Progress(1204, 9000, 120_000_000, 1_200_000_000),
)
SAVED = Revision(12, 2, 48.2, ("src/train.py", "src/model.py"))
LEFT_OUT = tuple(LeftOut(f"{n}.bin", n * 1000, "is too large") for n in range(1, 8))

EVENTS = [
    Ready(1, 12, 3_400_000, 1.25, True, "~/demo", LEFT_OUT),
    SAVED,
    Received(1, ("out.csv",)),
    ConflictKept("a.py", "a.laptop.py", "laptop"),
    ProblemFound("b", "cannot be read", "machine"),
    Disconnected("the network is gone"),
    Resumed(12.0, True),
    Held("all 40 files would be removed"),
    DeadlineNear(899.6, "Colab ends it", None, 0),
    Restoring("environment", "10 packages beyond the image"),
    Restored("environment", "10 packages beyond the image, by uv", 1.5, ("torch: it stays",)),
    Equipped(("environment",), 2.5, ("torch: it stays",)),
    Note("the clock jumped"),
    Kept("4f3a12cd", 3, 12_000, 1.2, ("data/locked",)),
    ForwardFailed("127.0.0.1:6006", "6006", "nothing listens on port 6006 of the machine"),
    Stopped("asked to"),
]


def drawn(*items, width: int = 80, now: float = 1012.0) -> str:
    """What stands there after `items`, without what scrolled by."""
    console = Console(record=True, width=width, file=io.StringIO(), color_system=None)
    display = Live(console, clock=lambda: now)
    for item in items:
        display(item)
    console.export_text()
    console.print(display.frame())
    return console.export_text()


def test_live_is_three_calm_lines():
    assert drawn(LIVE, SAVED).splitlines() == [
        "● live  revision 12  41 ms  demo → gpu-box:~/demo",
        "  → src/train.py, src/model.py  48 ms",
        "  nothing behind · 1 conflict · 2 problems · watching by looking: not enough wa…",
    ]


def test_a_save_changes_the_second_line_and_nothing_else():
    before, after = drawn(LIVE, SAVED), drawn(LIVE, SAVED, Revision(12, 1, 5.0, ("b.py",)))
    assert after.splitlines() == [
        before.splitlines()[0],
        "  → b.py  5 ms",
        before.splitlines()[2],
    ]


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
@pytest.mark.parametrize("items", [(LIVE, SAVED), (FIRST,), (FIRST, LIVE), ()])
def test_no_line_wraps_however_narrow_the_terminal(items, width):
    long = [
        dataclasses.replace(i, destination="h" * 90) if i in (LIVE, FIRST) else i for i in items
    ]
    lines = drawn(*long, width=width).splitlines()
    assert len(lines) <= 3
    assert all(len(line) <= width for line in lines)


def test_a_narrow_terminal_keeps_the_numbers():
    line = drawn(LIVE, SAVED, width=40).splitlines()[0]
    assert line == "● live  revision 12  41 ms  demo → gpu-…"


def test_the_first_sync_shows_a_bar_a_rate_and_the_time_left():
    console = Console(record=True, width=100, file=io.StringIO(), color_system=None)
    now = [1000.0]
    display = Live(console, clock=lambda: now[0])
    display(dataclasses.replace(FIRST, progress=Progress(0, 9000, 85_000_000, 1_200_000_000)))
    now[0] += 1
    display(FIRST)
    console.print(display.frame())
    row = console.export_text().splitlines()[1]
    numbers = "10% 1,204/9,000 files 120 MB/1.2 GB 35.0 MB/s 31 s left"
    assert " ".join(row.split()).endswith(numbers)


def test_disconnected_counts_and_says_why():
    lines = drawn(
        dataclasses.replace(LIVE, state=State.DISCONNECTED, reason="the network is gone")
    ).splitlines()
    assert lines[0].startswith("● disconnected for 12 s")
    assert lines[1] == "  the network is gone"


def told(*items, **options) -> str:
    """All that a terminal gets, escape codes included."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80, **options)
    with Live(console) as display:
        for item in items:
            display(item)
    return terminal.getvalue()


def test_until_the_machine_is_reached_the_terminal_is_left_to_ssh():
    connecting = dataclasses.replace(LIVE, state=State.CONNECTING)
    text = told(connecting, *[connecting] * 20, color_system=None)
    assert text == "connecting to gpu-box …\n"


def test_what_a_person_must_not_miss_stays_above():
    text = told(LIVE, *EVENTS)
    for event in (EVENTS[0], EVENTS[3], EVENTS[4], EVENTS[7], EVENTS[10], EVENTS[11], EVENTS[12]):
        assert event_text(event)[:60] in text.replace("\n", " ")
    assert "left out: 7.bin (7.0 kB): is too large" in text
    assert event_text(SAVED) not in text


def test_the_five_largest_left_out_are_named_once_with_the_remedy():
    lines = left_out_texts(LEFT_OUT)
    assert [line.split()[2] for line in lines[:5]] == [f"{n}.bin" for n in (7, 6, 5, 4, 3)]
    assert "`!/7.bin` to .towlineignore" in lines[5]
    assert len(lines) == 6
    assert left_out_texts(()) == []


def test_many_problems_do_not_flood_the_terminal():
    flood = [ProblemFound(f"p{n}.sock", "is special", "laptop") for n in range(500)]
    text = told(LIVE, *flood, color_system=None)
    assert text.count("is special") == PROBLEMS_PRINTED
    assert text.count("towline problems") == 1


def test_without_colour_there_is_none():
    text = told(LIVE, SAVED, *EVENTS, no_color=True, color_system="truecolor")
    assert not re.search(r"\x1b\[[\d;]*3\d[;m]", text)


def test_a_thousand_saves_are_drawn_a_few_times_only():
    saves = [Revision(n, 1, 1.0, (f"{n}.py",)) for n in range(1000)]
    assert told(LIVE, *saves, color_system=None).count("● live") < 50


def test_the_display_ends_its_thread():
    told(LIVE)
    assert "display" not in {thread.name for thread in threading.enumerate()}


def test_plain_is_a_line_an_event():
    stream = io.StringIO()
    with Plain(stream) as display:
        display(FIRST)
        display(FIRST)
        display(LIVE)
        for event in EVENTS[1:]:
            display(event)
    lines = [line.partition(" ")[2] for line in stream.getvalue().splitlines()]
    assert lines == ["first sync: gpu-box:~/demo", *(event_text(event) for event in EVENTS[1:])]


def test_how_it_ended_is_not_said_twice():
    stream = io.StringIO()
    terminal = Console(file=io.StringIO(), force_terminal=True)

    def fail(display):
        with display:
            display(Stopped("no way there"))
            raise UserError("no way there")

    for display in (Plain(stream), Live(terminal)):
        with pytest.raises(UserError):
            fail(display)
    assert stream.getvalue() + terminal.file.getvalue() == ""


def test_json_lines_are_the_schema_and_statuses_only_on_demand():
    stream = io.StringIO()
    for statuses in (False, True):
        with Jsonl(stream, statuses=statuses) as display:
            display(LIVE)
            display(SAVED)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    saved = json.loads(json.dumps(as_json(SAVED)))
    assert lines == [saved, {"status": {**lines[1]["status"]}}, saved]
    assert lines[1]["status"]["state"] == "live"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: EVENT_NAMES[type(event)])
def test_events_come_back_from_their_json(event):
    assert event_from_json(json.loads(json.dumps({"at": 1.0, **as_json(event)}))) == event
    assert "\n" not in event_text(event)


def test_every_event_has_an_example_here():
    assert {type(event) for event in EVENTS} == set(EVENT_NAMES)


@pytest.mark.parametrize("status", [LIVE, FIRST])
def test_a_status_comes_back_from_its_json(status):
    assert status_from_json(json.loads(json.dumps(as_json(status)))) == status


@pytest.mark.parametrize(
    "plain",
    [{}, {"event": "later"}, {"event": "revision"}, {"event": "ready", "left_out": [{"x": 1}]}],
)
def test_what_another_version_wrote_is_no_error(plain):
    assert event_from_json(plain) is None
    assert status_from_json(plain) is None


def test_who_reads_along_may_leave():
    class Broken:
        def __call__(self, item):
            raise BrokenPipeError

    silenced = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("towline.ui.display._silence_stdout", lambda: silenced.append(True))
        display = UntilGone(Broken())
        display(SAVED)
        display(SAVED)
    assert silenced == [True]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (99_960, "100 kB"),
     (123_456_789, "123 MB"), (1.2e9, "1.2 GB"), (5e12, "5.0 TB"), (5e15, "5000.0 TB")],
)  # fmt: skip
def test_sizes(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0012, "1 ms"), (0.048, "48 ms"), (1.25, "1.2 s"), (31, "31 s"), (125, "2 min 5 s"),
     (3725, "1 h 2 min"), (400_000, "4 days")],
)  # fmt: skip
def test_times(seconds, text):
    assert time_text(seconds) == text


def test_a_name_cannot_command_the_terminal():
    assert shown("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert shown("grün.py") == "grün.py"
    assert "\x1b" not in event_text(ConflictKept("\x1b]0;x\x07", "c", "machine"))


def test_status_lines_name_only_what_there_is():
    lines = status_lines(dataclasses.replace(LIVE, conflicts=0, problems=0, watching=""))
    assert [line.split()[0] for line in lines] == [
        "workspace", "state", "here", "there", "revision", "behind",
    ]  # fmt: skip


def test_a_rate_is_that_of_the_last_seconds():
    rate = Rate()
    assert rate.per_second == 0
    for second in range(20):
        rate.add(float(second), second * 10 if second < 10 else 90 + (second - 9) * 100)
    assert rate.per_second == 100
    rate.add(20.0, 0)
    assert rate.per_second == 0
    assert WINDOW_S < 10


SAFE = dataclasses.replace(LIVE, safe_at=1_795_000_000.0)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (LIVE, ""),
        (SAFE, "last safe at {} · 0 B behind"),
        (
            dataclasses.replace(SAFE, safe_behind=120_000_000, safe_in_s=9.6),
            "last safe at {} · 120 MB behind, 9.6 s to go",
        ),
        (
            dataclasses.replace(SAFE, being_written=1),
            "last safe at {} · 0 B behind · 1 being written",
        ),
    ],
)
def test_up_to_when_all_is_safe(status, text):
    at = time.strftime("%H:%M:%S", time.localtime(SAFE.safe_at))
    assert safe_text(status) == text.format(at)


def test_the_end_of_the_machine_counts_down():
    status = dataclasses.replace(LIVE, deadline=1600.0, deadline_why="Colab ends it")
    assert "ends       in 9 min 48 s (Colab ends it)" in status_lines(status, 1012.0)
    assert "ends in 9 min 48 s (Colab ends it)" in drawn(status, width=200)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            DeadlineNear(299.0, "SLURM ends the job", None, 0),
            "the machine ends in 4 min 59 s (SLURM ends the job): nothing is known to be safe",
        ),
        (
            DeadlineNear(0.0, "it does", 1_795_000_000.0, 3_000_000, ("a.pt", "b.pt")),
            "the machine has ended (it does): last safe at {}; 3.0 MB not safe: a.pt, b.pt",
        ),
    ],
)
def test_what_is_said_before_the_end_and_at_it(event, text):
    at = time.strftime("%H:%M:%S", time.localtime(SAFE.safe_at))
    assert event_text(event) == text.format(at)


EVIL = "gone\x1b]0;x\x07"


@pytest.mark.parametrize("event", [Disconnected(EVIL), Held(EVIL), Note(EVIL), Stopped(EVIL)])
def test_a_sentence_of_an_event_holds_nothing_that_a_terminal_would_obey(event):
    assert r"gone\x1b]0;x\x07" in event_text(event)


def test_the_reason_of_a_state_holds_nothing_that_a_terminal_would_obey():
    status = dataclasses.replace(LIVE, state=State.DISCONNECTED, reason=EVIL)
    assert r"gone\x1b]0;x\x07" in "\n".join(status_lines(status))
    assert r"gone\x1b]0;x\x07" in drawn(status)
