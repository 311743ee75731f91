"""The IPython extension: `%load_ext towline` joins a gate, a barrier and what they keep in step.

One per shell. Loading it again finds what was loaded; where no workspace is linked yet, each cell
looks again.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from towline.notebook import words
from towline.notebook.barrier import Barrier
from towline.notebook.find import Found, NotFoundError, choose, find
from towline.notebook.gate import Gate
from towline.notebook.linked import Linked
from towline.notebook.magic import Magic
from towline.notebook.policy import Kind
from towline.notebook.project import Project
from towline.notebook.waiting import Waiting

FIRST_SYNC_S = 3600.0  # Ctrl-C ends the wait; the cells after it wait on their own.
TURN_S = 1.0


class Extension:
    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.barrier = Barrier(shell.user_ns)
        self.gate = Gate(shell, self.barrier, self.look_for_projects)
        self.is_seeking = False  # Nothing was to be found yet, or it was no time to wait for it.
        self._wanted = os.environ.get("TOWLINE_WORKSPACE", "")

    def open(self) -> None:
        self.gate.open()
        self.shell.register_magic_function(Magic(self).line, "line", "towline")

    def close(self) -> None:
        self.gate.close()
        self.barrier.close()
        self.shell.magics_manager.magics["line"].pop("towline", None)

    def use_wanted(self) -> None:
        """Keep a workspace in step: now, or from the first cell on where no cell runs yet. A kernel
        that waits for a first sync before it has started counts as dead."""
        if self.gate.is_before_first_cell():
            self.is_seeking = True
        else:
            self.use(self._wanted)

    def look_for_projects(self) -> None:
        """Take up the workspace that was not there when it was looked for first."""
        if self.is_seeking and not self.barrier.projects and find():
            self.use(self._wanted)

    def use(self, name: str) -> None:
        """Keep one more workspace in step, and wait for its first sync."""
        try:
            found = choose(find(), name, os.path.realpath(os.getcwd()))
        except NotFoundError as error:
            self.is_seeking = True
            return say(str(error))
        self.is_seeking = False
        return self._join(found)

    def watch(self, directory: str) -> None:
        """Keep a folder of this computer in step, without any laptop."""
        from towline.notebook.watched import Watched  # With the watch it is as much as the rest.

        path = os.path.abspath(os.path.expanduser(directory or "."))
        try:
            project = self.barrier.add(Watched(path))
        except OSError as error:
            return say(f"{path} cannot be watched: {error.strerror}")
        return say(f"{project.source.about}; {_modules(project)}")

    def _join(self, found: Found) -> None:
        project = self.barrier.add(Linked(found))
        try:
            trouble = self._wait_for_first_sync(project)
        except KeyboardInterrupt:
            return say("interrupted: the first sync goes on; cells wait for it")
        if trouble:
            return say(trouble)
        self.barrier.in_between()
        return say(f"revision {project.revision} of {project.source.about}; {_modules(project)}")

    def _wait_for_first_sync(self, project: Project) -> str:
        """Return once all is here, or what stands in the way of it."""
        waiting = Waiting("the first sync")
        until = time.monotonic() + FIRST_SYNC_S
        try:
            while True:
                project.source.begin(TURN_S)
                answer = project.source.finish(waiting)
                project.absorb(answer)
                trouble = answer.trouble
                if trouble is None:
                    return ""
                if trouble.kind is Kind.AWAY or time.monotonic() > until:
                    return words.went_on(trouble, project.revision).removeprefix(words.PREFIX)
                project.absorb(project.source.wait(TURN_S / 4))  # It may have been refused at once.
        finally:
            waiting.end()


def load(shell: Any) -> Extension:
    """Load the extension into a shell, once. Raises `RuntimeError` where that is too old."""
    if known := current(shell):
        return known
    extension = Extension(shell)
    shell.towline = extension
    extension.open()
    if not extension.barrier.projects:
        extension.use_wanted()
    return extension


def unload(shell: Any) -> None:
    if known := current(shell):
        known.close()
        del shell.towline


def current(shell: Any) -> Extension | None:
    """Return the extension of this shell, if it is loaded."""
    known = getattr(shell, "towline", None)
    return known if isinstance(known, Extension) else None


def say(line: str) -> None:
    print(f"{words.PREFIX}{line}", file=sys.stdout, flush=True)  # noqa: T201


def _modules(project: Project) -> str:
    count = project.reloader.modules
    return f"{count} module{'' if count == 1 else 's'} watched"
