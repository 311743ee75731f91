"""Follow a job: its log from a byte on, and its end, whatever is lost in between.

A cut costs nothing here: the Line resumes. Where the engine or the agent itself is gone, the log is
asked for again from the byte that is next, by the job's key, until there is an answer: so no byte
comes twice, none is left out, and another machine's job is never taken for this one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from towline.across import CONTENT_MAX, Call, Program, not_understood
from towline.control import is_running
from towline.errors import ExitCode, UserError
from towline.jobs.call import AGAIN_S, Job, failure
from towline.places import Binding


def follow(
    binding: Binding,
    key: str,
    write: Callable[[bytes], object],
    *,
    offset: int = 0,
    note: Callable[[str], object] = lambda text: None,
) -> Job:
    """Write the log from `offset` on until the job is over; return the job."""
    return Follower(binding, key, write, offset=offset, note=note).run()


def wait(binding: Binding, key: str, *, note: Callable[[str], object] = lambda text: None) -> Job:
    """Return the job once it is over."""
    return Follower(binding, key, lambda _: None, verb="wait", note=note).run()


class Follower:
    """As `follow`; and what is typed meanwhile can be passed on, for a job with a terminal."""

    def __init__(
        self,
        binding: Binding,
        key: str,
        write: Callable[[bytes], object],
        *,
        offset: int = 0,
        lines: int | None = None,
        note: Callable[[str], object] = lambda text: None,
        ends: bool = True,
        typed: bool = False,
        verb: str = "log",
    ) -> None:
        """With `lines`, begin with the last so many; without `ends`, what is there is all."""
        self.offset = offset
        self._binding = binding
        self._key = key
        self._write = write
        self._note = note
        self._ends = ends
        self._typed = typed
        self._lines = lines
        self._verb = verb
        self._early = b""  # Of the last lines, before it is known where they begin.
        self._program: Program | None = None
        self._away = False

    def run(self) -> Job:
        """Raises UserError if the job is not known there (any more)."""
        while True:
            try:
                if job := self._ask():
                    return job
            except UserError as error:
                if error.exit_code not in (ExitCode.UNAVAILABLE, ExitCode.TRY_AGAIN):
                    raise
                self._note_away()
            time.sleep(AGAIN_S)

    def type(self, data: bytes) -> None:
        """Send orders to the job; while it cannot be reached they drop, as what is typed does."""
        if program := self._program:
            try:
                program.write(data)
            except OSError:
                self._program = None

    def _ask(self) -> Job | None:
        """Follow until the end of the job, or of the program that reads the log there."""
        said = bytearray()
        job: Job | None = None
        self._early = b""
        with Program(self._binding, Call(self._argv(), agent=True)) as program:
            self._program = program
            for kind, content in program.records():
                self._away = False
                if kind == "o":
                    self._take(content)
                else:
                    said += content
                    if len(said) > CONTENT_MAX:
                        raise not_understood()
                    job = self._hear(said) or job
            self._program = None
        if program.code is not None and program.code > 0:  # Else it was killed: asked again.
            raise failure(bytes(said))
        return job

    def _argv(self) -> list[str]:
        argv = ["job", self._verb, self._binding.id, self._key]
        if self._lines is None:
            argv += ["--from", str(self.offset)]
        else:
            argv += ["--lines", str(self._lines)]
        argv += ["--follow", "yes"] if self._ends else []
        return [*argv, "--typed", "yes"] if self._typed else argv

    def _take(self, content: bytes) -> None:
        if self._lines is not None:
            self._early += content
            return
        self._write(content)
        self.offset += len(content)

    def _hear(self, said: bytearray) -> Job | None:
        """Take what is whole of the objects said so far; return the job, if it is over."""
        job = None
        while b"\n" in said:
            line, _, rest = said.partition(b"\n")
            try:
                plain: dict[str, Any] = json.loads(line)
            except (ValueError, RecursionError):
                return None  # A traceback, say: it is told when the program has ended.
            said[:] = rest
            if "begins" in plain:
                self._begin(plain["begins"])
            if "note" in plain:
                self._note(str(plain["note"]))
            if "end" in plain:
                job = Job.from_json(plain["end"])
            if "error" in plain:
                said[:] = line
                return None
        return job

    def _begin(self, offset: int) -> None:
        self.offset, self._lines = offset, None
        early, self._early = self._early, b""
        self._take(early)

    def _note_away(self) -> None:
        if not self._away:
            self._away = True
            engine = is_running(self._binding)
            why = "the machine is away" if engine else "no engine runs here, see `towline link`"
            self._note(f"{why}; the job goes on, and so will this")
