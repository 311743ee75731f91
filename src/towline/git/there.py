"""The machine's repository, as it is asked and told from here: git itself runs there.

Each call is one program on the machine by way of the running engine, and one round trip.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from towline.across import Call, Finished, Program, run
from towline.control import ask
from towline.errors import ExitCode, UserError
from towline.git.here import STATUS, Point, Repository, status_of
from towline.places import Binding

GIVEN_HEAD = "refs/towline/head"
GIVEN_INDEX = "refs/towline/index"
"""On the machine: what it was given last. Where it stands there still, nothing was made there."""

PART = 64 << 10  # Bytes read from git at a time.

_OURS = "towline.setup"

_PROBE = f"""\
command -v git >/dev/null 2>&1 || exit 127
[ -e .git ] || exit 0
git config --local --get {_OURS} >/dev/null || {{ echo other ; exit 0 ; }}
echo ours
git rev-parse -q --verify 'HEAD^{{commit}}' || echo
git symbolic-ref -q --short HEAD || echo
git rev-parse -q --verify {GIVEN_HEAD} || echo
git rev-parse -q --verify '{GIVEN_INDEX}^{{tree}}' || echo
git rev-parse -q --verify 'HEAD^{{tree}}' || git hash-object -t tree /dev/null
git write-tree 2>/dev/null || echo
"""


@dataclass(frozen=True, slots=True)
class There:
    """How the machine's repository stands."""

    point: Point
    given_head: str | None
    given_index: str | None  # Trees, as the next two.
    head_tree: str
    index_tree: str | None  # None while it holds conflicts.

    @property
    def has_staged(self) -> bool:
        """Whether something was staged there that is neither committed nor came from here."""
        return self.index_tree not in (self.given_index, self.head_tree)


class Far:
    """The project's folder on the machine of a workspace."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self.name = binding.name
        self.folder = _folder_of(binding)

    def run(self, argv: Sequence[str], given: bytes = b"") -> Finished:
        return run(self._binding, Call(argv, cwd=self.folder), given)

    def git(self, *arguments: str, given: bytes = b"") -> str:
        """Raises UserError if it fails."""
        return _text(self.run(["git", *arguments], given), f"git {arguments[0]}")

    def script(self, commands: Sequence[Sequence[str]]) -> None:
        """Run commands one after the other, in one round trip. Raises UserError at the first."""
        lines = "\n".join(shlex.join(command) for command in commands)
        _text(self.run(["sh", "-ec", lines]), "git")

    def look(self) -> There | None:
        """Return how the repository there stands, None if there is none.

        Raises UserError if there is one that is not towline's.
        """
        done = self.run(["sh", "-c", _PROBE])
        if done.code == 127:
            raise UserError("git is not installed on the machine", "install it there")
        kind, *lines = [*_text(done, "git").split("\n"), *([""] * 7)]
        if not kind:
            return None
        if kind != "ours":
            raise UserError(
                f"there is a repository at {self.folder} on the machine that towline did not make",
                "it is left as it is: go on with it, or move it away first "
                f"(`mv {self.folder}/.git {self.folder}/.git.before`)",
                ExitCode.REFUSED,
            )
        head, branch, given_head, given_index, head_tree, index_tree = lines[:6]
        return There(
            Point(head or None, branch or None),
            given_head or None,
            given_index or None,
            head_tree,
            index_tree or None,
        )

    def make(self) -> None:
        self.script([["git", "init", "-q", "--template="], ["git", "config", _OURS, "1"]])

    def configure(self, settings: Mapping[str, str], excludes: str) -> None:
        """Make the machine's settings of this repository these, and no signing or storing."""
        fixed = {
            "commit.gpgsign": "false",
            "tag.gpgsign": "false",
            "receive.shallowUpdate": "true",
            "credential.helper": "",  # The empty one: none that is named elsewhere is asked.
        }
        self.script(
            [
                ["git", "config", "--replace-all", key, value]
                for key, value in {**settings, **fixed}.items()
            ]
            + [["mkdir", "-p", ".git/info"]]
        )
        _text(self.run(["sh", "-c", "cat > .git/info/exclude"], excludes.encode()), "git")

    def status(self) -> dict[str, str]:
        return status_of(self.git(*STATUS))

    # -- git's own transport --------------------------------------------------------------------

    def push(self, repository: Repository, refs: Sequence[str]) -> None:
        repository.run("push", "-q", "--no-verify", self._url, *refs, more=self._carried())

    def fetch(self, repository: Repository, refs: Sequence[str]) -> None:
        options = ("-q", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        repository.run("fetch", *options, self._url, *refs, more=self._carried())

    @property
    def _url(self) -> str:
        return f"ssh://{self._binding.id}{quote(self.folder)}"

    def _carried(self) -> dict[str, str]:
        """Git starts this in place of ssh; quotes are read as a shell's, on Windows too."""
        command = [sys.executable, "-P", "-m", "towline", "git", "transport"]
        return {
            "GIT_SSH_COMMAND": shlex.join(command),
            "GIT_SSH_VARIANT": "simple",
        }


def carry(binding: Binding, command: str) -> int:
    """Be the transport: run the one program that git wants on the machine, on our own stdio."""
    words = shlex.split(command)
    if len(words) != 2 or words[0] not in ("git-receive-pack", "git-upload-pack"):
        raise UserError(f"git asks for something else: {command}", "", ExitCode.USAGE)
    call = Call(["git", words[0].removeprefix("git-"), words[1]])
    with Program(binding, call, bulk=True) as program:
        # Not joined: it may wait for more from git, which has all it wanted.
        threading.Thread(target=_feed, args=(program,), daemon=True).start()
        for kind, content in program.records():
            stream = sys.stdout.buffer if kind == "o" else sys.stderr.buffer
            stream.write(content)
            stream.flush()
        code = program.code
    return code if code is not None and code >= 0 else ExitCode.FAILED


def _feed(program: Program) -> None:
    with suppress(OSError):
        while data := os.read(0, PART):
            program.write(data)
        program.end_input()


def _folder_of(binding: Binding) -> str:
    """Return the folder there, as the engine knows it. Raises UserError."""
    status = ask(binding, "status")
    if not status.get("machine_path"):
        raise UserError("the machine is not connected yet", "", ExitCode.UNAVAILABLE)
    return str(status["machine_path"])


def _text(done: Finished, what: str) -> str:
    if done.code:
        said = done.stderr.decode(errors="replace").strip()
        raise UserError(f"{what} on the machine: {said or f'exit code {done.code}'}")
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")
