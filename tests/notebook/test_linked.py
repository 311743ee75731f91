"""What a kernel believes of an agent: nothing that was not checked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from towline.agent.ask import ANSWER_MAX
from towline.notebook.barrier import Barrier
from towline.notebook.find import Found, NotFoundError, choose
from towline.notebook.linked import Linked
from towline.notebook.policy import Kind
from towline.notebook.waiting import Waiting
from towline.notebook.watched import Watched

ROOT = "/home/ana/vision"
GOOD: dict[str, Any] = {"revision": 7, "changes": [], "position": "life:1", "whole": True}


class Agent:
    """Answers each line with what the test says, over a real socket."""

    def __init__(self, path: Path) -> None:
        self.found = Found(str(path), "vision", "laptop", (ROOT,))
        self.answers: list[Callable[[socket.socket], object]] = []
        self.requests: list[dict[str, Any]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def will(self, *answers: object) -> None:
        for answer in answers:
            line = answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n"
            self.answers.append(lambda sock, line=line: sock.sendall(line))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock, sock.makefile("rb") as lines:
                self._talk(sock, lines)

    def _talk(self, sock: socket.socket, lines: Any) -> None:
        try:
            for line in lines:
                self.requests.append(json.loads(line))
                self.answers.pop(0)(sock)
        except (OSError, IndexError):
            return


@pytest.fixture
def agent(short_path: Path) -> Iterator[Agent]:
    agent = Agent(short_path / "a.sock")
    yield agent
    agent.close()


@pytest.fixture
def linked(agent: Agent) -> Iterator[Linked]:
    linked = Linked(agent.found)
    yield linked
    linked.close()


def asked(linked: Linked) -> Any:
    linked.begin(0.5)
    return linked.finish(lambda: None)


def test_it_goes_on_from_the_position_it_was_given(agent: Agent, linked: Linked) -> None:
    agent.will(GOOD, {**GOOD, "changes": [f"{ROOT}/a.py"], "position": "life:2"}, GOOD)
    assert asked(linked).changed == ()
    assert asked(linked).changed == (f"{ROOT}/a.py",)
    asked(linked)
    assert [request["since"] for request in agent.requests] == [None, "life:1", "life:2"]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", f"{ROOT}/../x.py", f"{ROOT}2/a.py", f"{ROOT}/a\0.py", 7, None]
)
def test_paths_outside_the_folders_are_dropped(path: object, agent: Agent, linked: Linked) -> None:
    agent.will({**GOOD, "changes": [path, f"{ROOT}/a.py"]})
    assert asked(linked).changed == (f"{ROOT}/a.py",)


@pytest.mark.parametrize("changes", [None, "all", 7, {"a": 1}])
def test_what_is_no_list_means_everything(changes: object, agent: Agent, linked: Linked) -> None:
    agent.will({**GOOD, "changes": changes})
    assert asked(linked).changed is None


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b"nonsense\n", b"\xff\n", b"x" * (ANSWER_MAX + 2), b"7\n"]
)
def test_nonsense_is_an_agent_that_is_away(line: bytes, agent: Agent, linked: Linked) -> None:
    agent.will(line, GOOD)
    answer = asked(linked)
    assert answer.changed is None
    assert answer.trouble is not None
    assert answer.trouble.kind is Kind.AWAY
    assert asked(linked).trouble is None


def test_an_agent_that_ends_is_asked_again_over_a_new_connection(
    agent: Agent, linked: Linked
) -> None:
    agent.will(GOOD)
    assert asked(linked).trouble is None
    assert asked(linked).trouble is not None
    agent.will(GOOD)
    assert asked(linked).trouble is None


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(
    agent: Agent, linked: Linked
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    agent.answers.append(lambda _: None)
    linked.begin(5)
    with pytest.raises(KeyboardInterrupt):
        linked.finish(interrupt)
    agent.will({**GOOD, "revision": 9})
    assert asked(linked).revision == 9


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next(
    agent: Agent, linked: Linked
) -> None:
    """As after Ctrl-C while another workspace of the kernel was waited for."""
    first: list[socket.socket] = []

    def late(sock: socket.socket) -> None:
        for number in (8, 9) if sock in first else (9,):
            sock.sendall(json.dumps({**GOOD, "revision": number}).encode() + b"\n")

    agent.answers += [first.append, late]
    linked.begin(5)
    assert asked(linked).revision == 9


def test_what_a_watch_had_read_when_it_was_interrupted_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    watched = Watched(str(tmp_path))
    try:
        (tmp_path / "module.py").touch()
        with monkeypatch.context() as patch:
            patch.setattr(watched._watch, "place_cookie", lambda: "never seen")
            watched.begin(5)
            with pytest.raises(KeyboardInterrupt):
                watched.finish(interrupt)
        watched.begin(5)
        assert watched.finish(lambda: None).changed is None, "anything may have changed"
        watched.begin(5)
        assert watched.finish(lambda: None).changed == ()
    finally:
        watched.close()


def test_a_change_is_not_forgotten_over_a_fault(
    agent: Agent, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("a fault of ours")

    barrier = Barrier({})
    project = barrier.add(linked)
    looks: list[bool] = []
    monkeypatch.setattr(project.reloader, "note_all", lambda: looks.append(True))
    agent.will({**GOOD, "changes": [f"{ROOT}/a.py"]}, GOOD, GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(project.reloader, "note", fails)
        with pytest.raises(RuntimeError):
            barrier.before_cell(lambda: None)
    barrier.before_cell(lambda: None)
    assert looks == [True], "anything may have changed"
    barrier.before_cell(lambda: None)
    assert looks == [True]
    barrier.close()


def test_a_link_that_is_being_made_is_asked_again(agent: Agent, linked: Linked) -> None:
    making = {**GOOD, "error": "the link is being made", "beginning": True, "connected": True}
    agent.will(making, making, GOOD)
    assert asked(linked).trouble is None
    assert len(agent.requests) == 3


ONE = Found("/1", "one", "laptop", ("/srv/one",))
TWO = Found("/2", "two", "laptop", ("/srv/two", "/srv/more"))


@pytest.mark.parametrize(
    ("known", "name", "directory", "meant"),
    [
        ([ONE], "", "/", ONE),
        ([ONE, TWO], "", "/srv/more/deep", TWO),
        ([ONE, TWO], "one", "/srv/two", ONE),
        ([ONE, TWO], "/srv/two", "/", TWO),
        ([], "", "/", "no workspace is linked"),
        ([ONE, TWO], "", "/", "several workspaces are linked: one, two"),
        ([ONE, TWO], "", "/srv/onemore", "several"),
        ([ONE], "three", "/", "no workspace is called 'three'; there are: one"),
    ],
)
def test_which_workspace_is_meant(
    known: list[Found], name: str, directory: str, meant: Found | str
) -> None:
    if isinstance(meant, Found):
        assert choose(known, name, directory) is meant
    else:
        with pytest.raises(NotFoundError, match=meant):
            choose(known, name, directory)


def test_a_machine_that_ends_soon_is_said_once_before_a_cell(agent: Agent, linked: Linked) -> None:
    soon = {**GOOD, "ends_in_s": 3000.0, "ends_why": "Colab"}
    agent.will(GOOD, soon, {**soon, "ends_in_s": 2999.0}, {**soon, "ends_in_s": 20.0})
    barrier = Barrier({})
    barrier.add(linked)
    said = [barrier.before_cell(Waiting("")).lines for _ in range(4)]
    assert said == [
        (),
        ("towline: this machine ends in 50 min (Colab)",),
        (),
        ("towline: this machine ends in 20 s (Colab)",),
    ]


@pytest.mark.parametrize("nonsense", [{"ends_in_s": "x"}, {"ends_in_s": 7, "ends_why": 7}])
def test_nonsense_about_the_end_is_nothing(
    nonsense: dict[str, object], agent: Agent, linked: Linked
) -> None:
    agent.will({**GOOD, **nonsense})
    asked(linked)
    assert linked.ends is None
