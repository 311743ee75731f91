"""One project in a kernel: where its changes are learned, and the reloader that takes them over."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace

from towline.notebook import words
from towline.notebook.callbacks import Callbacks
from towline.notebook.policy import Kind, Trouble
from towline.notebook.reload import Failure, Reloader, Report
from towline.notebook.reload.peek import file_of
from towline.notebook.source import Answer, Source, Waiting

Stamp = tuple[int, ...]

TURNS_MAX = 4  # Loads in a row while files go on changing below them.


@dataclass(frozen=True)
class Outcome:
    """What came of one look: `lines` are to be said whatever is decided about `troubles`."""

    troubles: tuple[Trouble, ...] = ()
    lines: tuple[str, ...] = ()


class Project:
    """`namespace` is the notebook's."""

    def __init__(
        self, source: Source, namespace: MutableMapping[str, object], callbacks: Callbacks
    ) -> None:
        self.source = source
        self.revision: int | None = None  # Whose code is loaded; what is here may be later.
        self._here: int | None = None
        self._is_noting = False
        self.paths: tuple[str, ...] = ()
        self._make_importable()
        self.reloader = Reloader(self.paths, namespace)
        self._callbacks = callbacks
        self._failure: Failure | None = None
        self._held_back: set[str] = set()
        self._module_count = 0
        self._unwatched: dict[str, Stamp] = {}  # Modules whose files the source does not tell of.

    @property
    def name(self) -> str:
        return self.source.name

    def _make_importable(self) -> bool:
        """Put what can be imported from on the path; return whether there is more than before."""
        found = tuple(path for root in self.source.roots for path in _importable(root))
        new = [path for path in found if path not in self.paths]
        self.paths = tuple(dict.fromkeys((*found, *self.paths)))
        place = 0
        for path in found if new else ():
            if path not in sys.path:
                sys.path.insert(place, path)
            place = sys.path.index(path) + 1  # A source folder comes behind its project.
        return bool(new)

    def close(self) -> None:
        self.reloader.close()
        self.source.close()

    def after_cell(self, cell: str) -> None:
        """A cell has run: what it imported is ours from now on."""
        if cell:
            self.reloader.saw(cell)
        self.reloader.look_for_modules()
        if self.reloader.modules != self._module_count:
            self._module_count = self.reloader.modules
            self._find_unwatched()

    def take(self, waiting: Waiting) -> Outcome:
        """Take the answer to `source.begin`, and load what it names."""
        answer = self.source.finish(waiting)
        self._note(answer)
        if not answer.whole and answer.trouble is None:
            answer = self._wait_whole(answer, waiting)
        troubles = [] if answer.trouble is None else [answer.trouble]
        if not answer.whole:
            kind = answer.trouble.kind if answer.trouble else Kind.SLOW
            return Outcome((Trouble(kind, "a part of the next revision is here, and not loaded"),))
        return self._load(troubles, waiting)

    def take_what_is_here(self) -> Outcome:
        """Load what has arrived, if it is whole; never wait."""
        answer = self.source.peek()
        self._note(answer)
        return self._load([], None) if answer.whole else Outcome()

    def absorb(self, answer: Answer) -> None:
        """Take note of an answer that somebody else waited for; it is loaded with the next."""
        self._note(answer)

    def _wait_whole(self, answer: Answer, waiting: Waiting) -> Answer:
        """Wait for the rest of a revision, a turn at a time; what `waiting` raises ends it."""
        for _ in range(WHOLE_TURNS):
            if answer.whole or answer.trouble is not None:
                break
            waiting()
            answer = self.source.wait(WHOLE_TURN_S)
            self._note(answer)
        return answer

    def _note(self, answer: Answer) -> None:
        if self._is_noting:  # A fault, or Ctrl-C, while the last one was: it is not told again.
            answer = replace(answer, changed=None)
        self._is_noting = True
        self._take_note(answer)
        self._is_noting = False

    def _take_note(self, answer: Answer) -> None:
        self._here = answer.revision
        self._look_at_unwatched()
        if answer.changed != () and self._make_importable():  # The source folder, just synced.
            self.reloader.extend(self.paths)
        if answer.changed is None:
            self._module_count = -1  # What is watched may be other files than before.
            self.reloader.note_all()
        elif answer.changed:
            self.reloader.note([*answer.changed, *self._modules_below(answer.changed)])
            self._held_back.update(path for path in answer.changed if path.endswith(".py"))
        if answer.changed != ():
            self._callbacks.note(answer.changed, self.source.roots)

    def _modules_below(self, changed: Sequence[str]) -> list[str]:
        """Return modules' files below what is a folder, or was one: it stands for all in it."""
        folders = [p for p in changed if not p.endswith(".py") and not os.path.isfile(p)]
        below = tuple(f"{folder}/" for folder in folders)
        return [file for file in self._files() if file.startswith(below)] if below else []

    def _find_unwatched(self) -> None:
        """Find the modules that lie in the project and are not kept in step: ignored ones, say."""
        below = tuple(f"{root}/" for root in self.source.roots)
        ours = sorted(file for file in self._files() if file.startswith(below))
        self._unwatched = {path: _stamp(path) for path in self.source.unwatched(ours)}

    def _files(self) -> set[str]:
        """Return the files of all modules; of ours also without the links that led there."""
        found = {file_of(module) for module in list(sys.modules.values())}
        return found | {os.path.realpath(file) for file in self.reloader.files}

    def _look_at_unwatched(self) -> None:
        for path, before in self._unwatched.items():
            now = self._unwatched[path] = _stamp(path)
            if now != before:
                self.reloader.note([path])

    def _load(self, troubles: list[Trouble], waiting: Waiting | None) -> Outcome:
        """Load what is noted, again where files changed meanwhile: all of one moment, or none."""
        lines: list[str] = []
        told = self._failure
        report = self._reload(lines)
        for _ in range(TURNS_MAX):
            if not report.modules and report.failure is self._failure:
                break
            self._failure = report.failure
            later = self.source.peek()
            self._note(later)
            if later.changed == ():
                break
            if waiting is not None:
                self._wait_whole(later, waiting)
            report = self._reload(lines)
        else:
            troubles.append(Trouble(Kind.SLOW, "files change faster than they can be loaded"))
        return self._outcome(report, troubles, lines, is_new=report.failure is not told)

    def _reload(self, lines: list[str]) -> Report:
        report = self.reloader.reload()
        lines += [words.left(thing) for thing in report.left]
        return report

    def _outcome(
        self, report: Report, troubles: list[Trouble], lines: list[str], *, is_new: bool
    ) -> Outcome:
        if report.failure is None:
            self.revision = self._here
            self._held_back.clear()
        else:
            named = words.failed(report.failure, self.source.roots[0], len(self._held_back))
            detail = words.shown(report.failure) if is_new else ()
            troubles.append(Trouble(Kind.BROKEN, named, detail=detail))
        return Outcome(tuple(troubles), tuple(lines))


WHOLE_TURN_S = 0.2
WHOLE_TURNS = 10  # Two seconds: as long as a cell waits for anything.


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _importable(root: str) -> list[str]:
    source = os.path.join(root, "src")
    return [root, source] if os.path.isdir(source) else [root]
