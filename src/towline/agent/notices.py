"""`notices WORKSPACE`: asks for the end of this machine, and tells the agent what it hears.

A program of its own, for to ask may take seconds, and the agent never waits. The agent starts it
where there is somebody to ask: a cloud, or SLURM where the environment does not say when the job
ends. It ends with the agent.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from towline.agent.ask import NoAgentError, ask_on, connect
from towline.agent.clouds import ADDRESS, CLOUDS, Notice, ask_at, cloud_of
from towline.agent.lifetime import SLURM_END, environment
from towline.core.deadline import Deadline

EVERY_S = 5.0  # As Amazon advises; the shortest notice is Google's, of 30 s.
SLURM_EVERY_S = 60.0  # SLURM's controller serves a whole cluster; a limit is changed by hand.
ANSWER_S = 10.0
SLURM_JOB = "SLURM_JOB_ID"

Source = Callable[[float], "Notice | None"]
"""Asks once, given the time. May raise OSError, ValueError, LookupError and TypeError."""


def start_beside(workspace: str, bundle: str) -> subprocess.Popen[bytes] | None:
    """Start the program, if there is anybody to ask; return it, for its owner to keep."""
    if _source(cloud_of(), environment()) is None:
        return None
    argv = [sys.executable, "-I", "-S", bundle, "notices", workspace]
    nothing = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )
    except OSError:  # The machine ends unannounced, as it would have.
        return None


def main(workspace: str) -> int:
    found = _source(cloud_of(), environment())
    if found is None:
        return 0
    source, every_s = found
    with suppress(NoAgentError):
        follow(connect(workspace, ANSWER_S), source, every_s)
    return 0


def follow(agent: socket.socket, source: Source, every_s: float) -> None:
    """Ask again and again, and tell the agent what is new, until that ends."""
    told: Deadline | None = None
    with agent:
        ask_on(agent, {"verb": "status"}, ANSWER_S)  # So that we are known as a program.
        while True:
            now = time.time()
            notice = _asked(source, now)
            if notice and not (heard := Deadline(notice.at, notice.why)).is_like(told):
                told = heard
                in_s = max(0.0, notice.at - now)
                ask_on(agent, {"verb": "ends", "in_s": in_s, "why": notice.why}, ANSWER_S)
            if select.select([agent], [], [], every_s)[0]:
                return


def slurm_end(words: str) -> Notice | None:
    """Read what `squeue -o %e` says: a local time, or a word where there is no limit."""
    with suppress(ValueError):
        return Notice(datetime.fromisoformat(words.strip()).timestamp(), "SLURM ends the job")
    return None


def _source(cloud: str, environment: Mapping[str, str]) -> tuple[Source, float] | None:
    if cloud:
        return CLOUDS[cloud](ask_at(ADDRESS)).notice, EVERY_S
    squeue, job = shutil.which("squeue"), environment.get(SLURM_JOB, "")
    if squeue and job.isdecimal() and SLURM_END not in environment:
        return lambda _: slurm_end(_output_of([squeue, "-h", "-j", job, "-o", "%e"])), SLURM_EVERY_S
    return None


def _asked(source: Source, now: float) -> Notice | None:
    """Ask once. Who does not answer, or not as published, has said nothing."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        return source(now)
    return None


def _output_of(argv: list[str]) -> str:
    with suppress(subprocess.SubprocessError):
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=ANSWER_S, check=True, env=os.environ
        ).stdout
    return ""
