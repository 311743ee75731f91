"""A job as the laptop is told of it: one object, put together from its records and /proc."""

from __future__ import annotations

import time
from typing import Any

from towline.agent.jobs.family import Use, all_parents, descendants, use_of
from towline.agent.jobs.record import HELD
from towline.agent.jobs.shelf import Job, NoJobError, Shelf


def summary(job: Job) -> dict[str, Any]:
    """Raises NoJobError if it is being cleared away."""
    request, running, ended = job.request, job.running, job.ended
    state, reason = job.state()
    began = running.started if running else request.created
    until = ended.ended if ended else time.time()
    return {
        "job": job.number,
        "name": request.name,
        "key": request.key,
        "state": state,
        "reason": reason,
        "argv": list(request.argv),
        "folder": running.cwd if running else request.cwd,
        "started": began,
        "age_s": round(time.time() - began, 3),
        "ran_s": round(until - began, 3) if ended or state == "running" else None,
        "code": ended.code if ended else None,
        "revision": request.revision,
        "tty": request.tty is not None,
        "held": request.hold,
        "log_size": job.log_size,
        "dropped": ended.dropped if ended else 0,
        "left": [f"{job.file(HELD)}/{path}" for path in ended.left] if ended else [],
        "directory": job.path,
    }


def all_summaries(shelf: Shelf) -> list[dict[str, Any]]:
    """Return all jobs, in order; those that run with what they use."""
    parents = all_parents()
    told: list[dict[str, Any]] = []
    for job in shelf.jobs():
        try:
            plain = summary(job)
        except NoJobError:
            continue
        told.append({**plain, **_use(job, plain, parents)})
    return told


def processes_of(job: Job, parents: dict[int, int]) -> list[int]:
    running = job.running
    return descendants(running.supervisor, parents) if running else []


def _use(job: Job, plain: dict[str, Any], parents: dict[int, int]) -> dict[str, Any]:
    """CPU as `ps` has it: the time used over the time since it began."""
    if plain["state"] != "running":
        return {}
    pids = processes_of(job, parents)
    use = use_of(pids) if pids else Use()
    percent = 100 * use.cpu_s / max(plain["age_s"], 0.01)
    return {
        "processes": use.processes,
        "cpu_s": round(use.cpu_s, 2),
        "cpu_percent": round(percent, 1),
        "memory": use.memory,
        "pids": pids,
    }
