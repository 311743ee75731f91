"""A machine that ends is known to on both sides, and at the end it is said what is safe."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

from tests.agent.cloud_standin import cloud
from tests.end_to_end.laptop import RUN, WAIT_S, Laptop, save, wait_until
from towline.agent.ask import ask_on, connect_to
from towline.agent.clouds import Google, ask_at
from towline.agent.notices import follow


def ask_agent(laptop: Laptop, **request: object) -> dict[str, Any]:
    (path,) = (laptop.machine.home / RUN).glob("*.sock")
    with connect_to(str(path), WAIT_S) as sock:
        return ask_on(sock, request, WAIT_S)


def deadline_file(laptop: Laptop) -> dict[str, Any]:
    """Return what programs on the machine can read; nothing where it is not written yet."""
    found = list((laptop.machine.home / RUN).glob("*.deadline.json"))
    return json.loads(found[0].read_text()) if found else {}


def test_the_end_is_known_and_at_last_it_is_said_what_is_safe(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "a\n")
    laptop.environment["TOWLINE_CHECKPOINTS_SETTLE"] = "1 h"
    laptop.there.mkdir()
    with (laptop.there / "half.pt").open("wb") as file:
        file.write(os.urandom(1000))
        file.flush()
        link = laptop.start("--lives", "5 s", "machine")
        warned = link.wait_for("deadline")
        assert 0 < warned["left_s"] <= 5
        assert warned["why"] == "it lives for 5 s, as was said"
        assert laptop.status()["deadline"] is not None
        assert "ends" in laptop.run("status").stdout
        ended = link.wait_for("deadline", left_s=0.0)
    assert ended["safe_at"] is not None
    assert ended["paths"] == ["half.pt"]
    wait_until(lambda: deadline_file(laptop)["left_s"] == 0.0, "it is told there, too")
    assert link.end() == 0


def test_a_program_on_the_machine_may_know_better(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "a\n")
    with laptop.linked() as link:
        assert laptop.status()["deadline"] is None
        why = "the provider takes it back"
        assert ask_agent(laptop, verb="ends", in_s=120, why=why) == {"ok": True}
        assert link.wait_for("deadline")["why"] == why
        assert 0 < ask_agent(laptop, verb="changes")["ends_in_s"] <= 120
        assert "error" in ask_agent(laptop, verb="ends", in_s=-1)
        wait_until(lambda: deadline_file(laptop).get("why") == why, "it is written there")


def test_jobs_hear_of_the_end_in_time_to_save(laptop: Laptop) -> None:
    listening = (
        "import json, os, signal\n"
        "def save(*_): print(json.load(open(os.environ['TOWLINE_DEADLINE_FILE']))['why'])\n"
        "signal.signal(signal.SIGUSR1, save)\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    with laptop.linked():
        laptop.run("run", "--detach", "--", "python3", "-c", listening)
        wait_until(lambda: "ready" in laptop.run("logs", "1").stdout, "the job listens")
        assert ask_agent(laptop, verb="ends", in_s=3000, why="in an hour") == {"ok": True}
        assert ask_agent(laptop, verb="ends", in_s=120, why="it is taken back") == {"ok": True}
        assert laptop.run("wait", "1").returncode == 0
        assert laptop.run("logs", "1").stdout == "ready\nit is taken back\n"


def test_a_cloud_s_notice_is_told_on_the_laptop(laptop: Laptop) -> None:
    """The stand-in answers as Google publishes; the agent and what asks for it are real."""
    with cloud() as standin, laptop.linked() as link:
        instance = "/computeMetadata/v1/instance"
        standin.pages |= {f"{instance}/preempted": "FALSE", f"{instance}/maintenance-event": "NONE"}
        (path,) = (laptop.machine.home / RUN).glob("*.sock")
        agent = connect_to(str(path), WAIT_S)
        source = Google(ask_at(standin.at)).notice
        asking = threading.Thread(target=follow, args=(agent, source, 0.02))
        asking.start()
        wait_until(lambda: len(standin.asked) > 4, "it is asked")
        assert laptop.status()["deadline"] is None
        standin.pages[f"{instance}/preempted"] = "TRUE"
        assert link.wait_for("deadline")["why"] == "Google takes the machine back"
        ask_agent(laptop, verb="stop")
        asking.join(WAIT_S)
        assert not asking.is_alive(), "it ends with the agent"
