"""The machine's environment, as it is asked and told from here: verbs of the bundle.

Each call is one program there by way of the running engine; it ends with its answer. What is
installed in between is noticed by the agent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from towline.across import Call, Program, ask_once, lines_of, not_understood, object_in
from towline.config import Options
from towline.environment.lock import SIZE_MAX, Json, from_machine
from towline.errors import ExitCode, UserError
from towline.places import Binding

Times = dict[str, int | None]  # When each file was changed last, in ns; None if it is not there.


@dataclass(frozen=True, slots=True)
class Asked:
    """Which environment is meant, and what of it beside packages."""

    binding: Binding
    project: str  # The folder on the machine.
    options: Options

    def call(self, verb: str, **more: Any) -> Call:
        environment = self.options.environment
        request = {
            "project": self.project,
            "python": environment.python or "",
            "variables": list(environment.variables),
            "dotfiles": list(environment.dotfiles),
            **more,
        }
        return Call(["environment", verb, json.dumps(request)], agent=True)


def capture(asked: Asked) -> Json:
    """Return what is different from the image now. Raises UserError."""
    return from_machine(_answer_to(asked, "capture"))


def hold(asked: Asked, captured: Json) -> None:
    """Have it noted there that the lock file lists what was captured. Raises UserError."""
    _answer_to(asked, "hold", behind=True, record=captured["record"])


def restore(asked: Asked, lock: Json) -> Iterator[Json]:
    """Put back what a lock lists; yield each step. Raises UserError."""
    with Program(asked.binding, asked.call("restore")) as program:
        with suppress(OSError):  # If the machine is lost, that is told where it is read from.
            program.write(json.dumps(lock).encode())
        program.end_input()
        for answer in _answers(program):
            yield {**answer, "now": from_machine(answer["now"])} if "now" in answer else answer


def watch(asked: Asked) -> Iterator[Json]:
    """Yield what is different from the image, at once and after each installation, for ever.

    Times are known before the look that they stand for: what changes during a look is seen by the
    next. Of the first look there are none, so there is a second. Raises UserError when the machine
    is lost.
    """
    answer = _answer_to(asked, "capture", behind=True)
    times: Times = {}
    told = from_machine(answer)
    yield told
    while True:
        times = _changed_times(asked, answer, {file: times.get(file) for file in _files(answer)})
        try:
            answer = _answer_to(asked, "capture", behind=True, last=_last(answer))
        except UserError as error:  # Python removed, or in pieces: the next change tells more.
            if error.exit_code is ExitCode.UNAVAILABLE:
                raise
            continue
        if (now := from_machine(answer)) != told:
            told = now
            yield told


def _answer_to(asked: Asked, verb: str, *, behind: bool = False, **more: Any) -> Json:
    """Return what the machine answers, as it is; `behind` all else. Raises UserError."""
    call = asked.call(verb, behind=behind, **more)
    with Program(asked.binding, call, bulk=behind) as program:
        answer = next(_answers(program), None)
    if answer is None:
        raise not_understood()
    return answer


def _changed_times(asked: Asked, answer: Json, times: Times) -> Times:
    """Wait for an installation; return when its files were changed. Raises UserError."""
    python = "" if asked.options.environment.python else str(answer.get("executable"))
    known = {"stamps": times, "python": python}
    told = ask_once(asked.binding, {"stamps": True}, known, bulk=True)
    changed = told.get("stamps")
    if not isinstance(changed, dict):
        raise not_understood()
    now = cast("Mapping[str, object]", changed)
    return {file: at for file in times if isinstance(at := now.get(file), int)}


def _files(answer: Json) -> list[str]:
    files = answer.get("files")
    return [str(file) for file in cast("list[object]", files)] if isinstance(files, list) else []


def _last(answer: Json) -> Json:
    return {key: answer.get(key) for key in ("executable", "variables")}


def _answers(program: Program) -> Iterator[Json]:
    """Yield the lines of JSON that the bundle prints. Raises UserError."""
    rest, said = b"", b""
    for kind, content in program.records():
        if kind == "e":
            said = (said + content)[-4000:]
            continue
        lines, rest = lines_of(rest, content, SIZE_MAX)
        for line in lines:
            yield _answer(line)
    if program.code:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise UserError(
            f"the machine's environment: {' '.join(last) or f'exit code {program.code}'}",
            "",
            ExitCode.BAD_DATA,
        )


def _answer(line: bytes) -> Json:
    """Raises UserError if it is none, or tells of an error."""
    answer = object_in(line)
    if "error" in answer:
        raise UserError(f"the machine's environment: {answer['error']}")
    return answer
