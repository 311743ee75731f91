"""The machine's environment, as it is asked and told from here: verbs of the bundle.

Each call is one program there by way of the running engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from towline.across import Call, Program
from towline.config import Options
from towline.environment.lock import Json, from_machine
from towline.errors import ExitCode, UserError
from towline.places import Binding


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


def capture(asked: Asked, *, hold: bool = False) -> Json:
    """Return what is different from the image now; `hold`: it is written down. Raises UserError."""
    with Program(asked.binding, asked.call("capture", hold=hold)) as program:
        return from_machine(next(_answers(program), None))


def restore(asked: Asked, lock: Json) -> Iterator[Json]:
    """Put back what a lock lists; yield each step. Raises UserError."""
    with Program(asked.binding, asked.call("restore")) as program:
        with suppress(OSError):  # If the machine is lost, that is told where it is read from.
            program.write(json.dumps(lock).encode())
        program.end_input()
        for answer in _answers(program):
            yield {**answer, "now": from_machine(answer["now"])} if "now" in answer else answer


class Watch:
    """What is different from the image, at once and after each installation, while it is open."""

    def __init__(self, asked: Asked) -> None:
        self._program = Program(asked.binding, asked.call("watch"))

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exc: object) -> None:
        self._program.__exit__(*exc)

    def told(self) -> Iterator[Json]:
        """Raises UserError when the machine is lost."""
        yield from map(from_machine, _answers(self._program))

    def hold(self) -> None:
        """Say that what was told is written down."""
        with suppress(OSError):
            self._program.write(b"hold\n")


def _answers(program: Program) -> Iterator[Json]:
    """Yield the lines of JSON that the bundle prints. Raises UserError."""
    rest, said = b"", b""
    for kind, content in program.records():
        if kind == "e":
            said = (said + content)[-4000:]
            continue
        *lines, rest = (rest + content).split(b"\n")
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
    try:
        plain: object = json.loads(line)
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict):
        raise UserError("the machine's answer is not understood", "", ExitCode.BAD_DATA)
    answer = cast("Json", plain)
    if "error" in answer:
        raise UserError(f"the machine's environment: {answer['error']}")
    return answer
