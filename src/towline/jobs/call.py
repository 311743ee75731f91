"""The verbs of `agent/jobs`, as functions: each runs one program on the machine and reads it.

Raises UserError throughout: no engine, no machine, no such job.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import Any

from towline.across import Call, not_understood, object_in, run
from towline.config import load
from towline.control import ask
from towline.errors import ExitCode, UserError
from towline.jobs.asked import Asked
from towline.machines import machine_named
from towline.places import Binding

START_S = 30.0  # How long a start is asked for again, when the engine or the agent was lost in it.
AGAIN_S = 0.2  # Between two tries to reach an engine or a machine: no event tells of either.


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the machine tells of it; `plain` is all of it (docs/json.md)."""

    number: int
    key: str
    name: str
    state: str  # running, done, failed, cancelled, lost, elsewhere.
    reason: str
    code: int | None
    plain: dict[str, Any]

    @property
    def is_over(self) -> bool:
        return self.state not in ("running", "elsewhere")

    @property
    def exit_code(self) -> int:
        """How a command ends that waited for this job: as the job did."""
        if self.code is not None:
            return self.code
        return ExitCode.UNAVAILABLE if self.state == "lost" else ExitCode.OK

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Job:
        """Raises UserError if this is no job."""
        try:
            fields = (plain["job"], plain["key"], plain["name"], plain["state"], plain["reason"])
            job = cls(*fields, plain["code"], plain)
        except (KeyError, TypeError):
            raise not_understood() from None
        is_text = all(type(text) is str for text in (job.key, job.name, job.state, job.reason))
        if not is_text or type(job.number) is not int or type(job.code) not in (int, type(None)):
            raise not_understood()
        return job


def start(binding: Binding, asked: Asked, revision: int) -> Job:
    """Begin a job and return it; asked twice for one key, it is begun once."""
    request = {
        **{name: value for name, value in asked.to_json().items() if name != "resumes"},
        "cwd": folder_of(binding),
        "login": machine_named(binding.destination) is None,
        "revision": revision,
        "pulled": _directions(binding) if asked.hold else [],
    }
    given = json.dumps(request).encode()
    until = time.monotonic() + START_S
    while True:
        try:
            return Job.from_json(_one(binding, ["start"], given))
        except UserError as error:
            # Cut off before the answer, it may have begun: the same key finds it.
            if error.exit_code is not ExitCode.UNAVAILABLE or time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)


def all_jobs(binding: Binding, *, gpu: bool = False) -> list[Job]:
    """Return the jobs the machine knows of, in the order they began; with `gpu`, what they hold.

    The latter may take a while.
    """
    words = ["list", "--gpu", "yes"] if gpu else ["list"]
    return [Job.from_json(plain) for plain in verb(binding, words)]


def find(binding: Binding, named: str | None) -> Job:
    """Return the job of this number, key or name (the latest); the latest of all for None."""
    jobs = all_jobs(binding)
    if named is None and jobs:
        return jobs[-1]
    found = [job for job in jobs if named in (str(job.number), job.key, job.name or None)]
    if found:
        return found[-1]
    known = ", ".join(str(job.number) for job in jobs[-10:])
    raise UserError(
        f"there is no job {named} on this machine" if named else "no job ran on this machine",
        f"there are: {known}" if known else "`towline run -- CMD` begins one",
    )


def cancel(binding: Binding, key: str, *, now: bool = False) -> Job:
    """Ask a job to end: SIGTERM, and SIGKILL ten seconds later; with `now`, at once."""
    return Job.from_json(_one(binding, ["cancel", key, *(["--now", "yes"] if now else [])]))


def folder_of(binding: Binding) -> str:
    """Return the project's folder on the machine."""
    path: str = ask(binding, "status").get("machine_path", "")
    options = load(binding.project, os.environ)
    return path or options.folder_there(binding.project, binding.machine_path)


def verb(binding: Binding, words: list[str], given: bytes = b"") -> list[dict[str, Any]]:
    """Run `job WORDS` for the workspace, return the objects it prints."""
    argv = ["job", words[0], binding.id, *words[1:]]
    finished = run(binding, Call(argv, agent=True), given)
    if finished.code != 0:
        raise failure(finished.stderr)
    return [object_in(line) for line in finished.stdout.splitlines()]


def failure(stderr: bytes) -> UserError:
    """Return what a verb that failed has said."""
    last = stderr.decode(errors="replace").strip().rpartition("\n")[2]
    try:
        return UserError(str(json.loads(last)["error"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return UserError(f"the machine could not do that: {last}", "", ExitCode.BAD_DATA)


def _one(binding: Binding, words: list[str], given: bytes = b"") -> dict[str, Any]:
    for plain in verb(binding, words, given):
        return plain
    raise not_understood()


def _directions(binding: Binding) -> list[tuple[str, str]]:
    rules = load(binding.project, os.environ).directions.rules
    return [(pattern, direction.value) for pattern, direction in rules]
