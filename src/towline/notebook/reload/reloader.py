"""The reloader: notes what may have changed, and takes it over when asked.

It watches no files and knows no notebook: paths come in, a `Report` comes out.
"""

from __future__ import annotations

import linecache
import os
import sys
import time
from collections.abc import Iterable, MutableMapping, Sequence

from towline.notebook.reload.failure import failure_of
from towline.notebook.reload.finder import invalidate, is_below, relocate
from towline.notebook.reload.journal import Journal
from towline.notebook.reload.modules import Known, Modules, Record, real, stamp_of
from towline.notebook.reload.names import Names
from towline.notebook.reload.report import Failure, Left, Report
from towline.notebook.reload.source import Source
from towline.notebook.reload.transaction import Transaction
from towline.notebook.reload.vanish import Vanished

HISTORY_MAX = 10_000  # Names that `why` can answer for.


class Reloader:
    """Keeps the modules below `roots` as their files are. Make it early: what is imported later
    is seen as it is imported, what was imported before and saved since is taken over first."""

    def __init__(
        self, roots: Sequence[str], namespace: MutableMapping[str, object] | None = None
    ) -> None:
        """`roots`: absolute folders that are on `sys.path`; modules below them are ours.
        `namespace`: the notebook's; its names from `from x import y` follow."""
        self._modules = Modules(roots)
        self._names = Names(namespace)
        self._vanished = Vanished(self._modules)
        self._noted = {record.source.path for record in self._modules if not record.stamp}
        self._failure: Failure | None = None
        self._failed_with: dict[str, bytes | None] = {}
        self._history: dict[str, str] = {}

    def close(self) -> None:
        """Stop seeing imports. What was imported stays as it is."""
        self._modules.close()

    def extend(self, roots: Sequence[str]) -> None:
        """Say which the roots are now: those that there were, and more."""
        self._modules.extend(roots)

    def note(self, paths: Iterable[str]) -> None:
        """Say which absolute paths may have changed, appeared or gone. Cheap; one thread."""
        self._noted.update(paths)

    def note_all(self) -> None:
        """Say that anything below the roots may have changed: looks at our modules' files."""
        invalidate()
        for record in self._modules:
            path = record.source.path
            if record.stamp != stamp_of(path):
                self._noted.add(path)
            package = os.path.join(path[: -len(".py")], "__init__.py")
            if os.path.exists(package):
                self._noted.add(package)
        self._noted.update(self._vanished.paths())

    def look_for_modules(self) -> None:
        """Take up modules of ours that have come past the import hook, as by a hook of others."""
        self._noted.update(one.source.path for one in self._modules.adopt_all() if not one.stamp)

    def saw(self, cell: str) -> None:
        """Take note of the `from x import y as z` of a cell that ran. Optional: without it,
        a name of the notebook is known by the object it holds."""
        self._names.saw(cell)

    def reload(self) -> Report:
        """Take over what was noted, all of it or nothing. Never raises for the user's code;
        after a KeyboardInterrupt all is as it was and the notes are kept."""
        if not self._noted:
            return Report(failure=self._failure)
        start = time.perf_counter()
        noted = self._noted | set(self._failed_with)
        invalidate()
        report = self._take_over(sorted(noted))
        self._noted.clear()
        return Report(report.modules, report.failure, report.left, time.perf_counter() - start)

    def why(self, name: str) -> str:
        """Say in a sentence what happened last to an object or a module."""
        if name in self._history:
            return f"{name} {self._history[name]}"
        if self._failure is not None and self._modules.get(name) is not None:
            failure = self._failure
            return f"{name} is as it was: {failure.path}:{failure.line} {failure.kind}"
        owner = name
        while "." in owner:
            owner = owner.rpartition(".")[0]
            if (record := self._modules.get(owner)) is not None:
                return f"{name} has not changed since {record.name} was imported"
        if self._modules.get(name) is not None:
            return f"{name} has not changed since it was imported"
        return f"{name} is no module below {', '.join(self._modules.roots)}, nor in one"

    @property
    def modules(self) -> int:
        """How many modules are watched."""
        return len(self._modules)

    @property
    def names(self) -> list[str]:
        """Which ones they are."""
        return [record.name for record in self._modules]

    @property
    def files(self) -> list[str]:
        """Return the files that they are from, as they name them."""
        return [record.source.path for record in self._modules if record.source.path]

    # One reload

    def _take_over(self, noted: list[str]) -> Report:
        left = [_compiled(name) for path in noted if (name := self._modules.compiled_at(path))]
        texts = {path: _read(path) for path in noted if path.endswith(".py")}
        if self._failed_with and texts == self._failed_with:
            return Report(failure=self._failure, left=tuple(left))
        journal = Journal()
        known = self._modules.snapshot()
        there = [path for path, text in texts.items() if text is not None]
        self._vanished.bring_back(there, journal)
        changed, gone = self._sort(texts)
        new = self._awaited(there)
        if not changed and not gone and not new:
            self._cured()
            return Report(left=tuple(left))
        failure = _compile_all(changed, self._modules.roots)
        if failure is not None:
            self._roll_back(journal, known)
            return self._failed(texts, failure)
        transaction = Transaction(self._modules, changed, self._names, journal)
        try:
            self._relocate(changed, journal)
            left += self._vanished.remove(gone, transaction)
            left += transaction.run(new)
        except KeyboardInterrupt:
            self._roll_back(journal, known)
            raise
        except BaseException as error:
            self._roll_back(journal, known)
            return self._failed(texts, failure_of(error, self._modules.roots))
        else:
            return self._commit(transaction, changed, gone, left)
        finally:
            transaction.close()

    def _sort(
        self, texts: dict[str, bytes | None]
    ) -> tuple[list[tuple[Record, Source]], list[Record]]:
        """Return the modules with another text, and those without a file."""
        changed: dict[str, tuple[Record, Source]] = {}
        gone: dict[str, Record] = {}
        for path, text in texts.items():
            if not is_below(path, self._modules.roots) and not is_below(
                real(path), self._modules.roots
            ):
                continue
            for record in self._concerned(path, text):
                source = self._source_now(record, path, text)
                if source is None:
                    gone[record.name] = record
                elif (
                    source.data != record.source.data
                    or source.path != record.source.path
                    or record.doubted
                ):
                    changed[record.name] = (record, source)
                    gone.pop(record.name, None)
        return list(changed.values()), list(gone.values())

    def _concerned(self, path: str, text: bytes | None) -> list[Record]:
        found = self._modules.at(path)
        if text is None:
            return found
        for name in self._modules.names_for(path):
            if name not in sys.modules:
                continue
            record = self._modules.get(name) or self._modules.adopt(name)
            if record is not None and record not in found:
                found.append(record)
        return found

    def _source_now(self, record: Record, path: str, text: bytes | None) -> Source | None:
        """Return the text that an import of the module would take now."""
        if text is not None and real(path) == real(record.source.path) and not _shadowed(path):
            return Source(record.name, record.source.path, hasattr(record.module, "__path__"), text)
        spec = self._modules.finder.find_again(record.name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            return None
        data = _read(spec.origin)
        if data is None:
            return None
        is_package = spec.submodule_search_locations is not None
        return Source(record.name, spec.origin, is_package, data)

    def _awaited(self, paths: list[str]) -> list[str]:
        """Return names of modules that are not loaded, but that some text of ours may ask for."""
        names = {name for path in paths for name in self._modules.names_for(path)}
        return sorted(
            name
            for name in names
            if name not in sys.modules
            and any(record.source.mentions(name.rpartition(".")[2]) for record in self._modules)
        )

    def _relocate(self, changed: list[tuple[Record, Source]], journal: Journal) -> None:
        for record, source in changed:
            if source.path != record.source.path:
                spec = self._modules.finder.find_again(record.name)
                if spec is not None:
                    relocate(record.module, spec, journal)

    def _roll_back(self, journal: Journal, known: Known) -> None:
        journal.take_back()
        self._modules.restore(known)
        self._vanished.restore()

    def _commit(
        self,
        transaction: Transaction,
        changed: list[tuple[Record, Source]],
        gone: list[Record],
        left: list[Left],
    ) -> Report:
        for record, source in changed:
            self._modules.forget(record)
            record.source = source
            record.doubted = False
            record.stamp = stamp_of(source.path)
            linecache.cache.pop(source.path, None)
            self._modules.remember(record)
            source.forget_code()
        self._remember(transaction, left, gone)
        self._cured()
        order = [*(record.name for record in gone), *transaction.touched]
        return Report(tuple(dict.fromkeys(order)), None, tuple(left))

    def _failed(self, texts: dict[str, bytes | None], failure: Failure) -> Report:
        self._failure = failure
        self._failed_with = dict(texts)
        return Report(failure=failure)

    def _cured(self) -> None:
        self._failure = None
        self._failed_with = {}

    def _remember(self, transaction: Transaction, left: list[Left], gone: list[Record]) -> None:
        when = time.strftime("%H:%M:%S")
        events = dict.fromkeys(transaction.touched, f"was reloaded at {when}")
        events |= {name: f"{what} ({when})" for name, what in transaction.said.items()}
        events |= {record.name: f"was removed at {when}: its file is gone" for record in gone}
        for one in left:
            events[one.name] = f"could not follow: {one.reason}; {one.next_step} ({when})"
        for name, event in events.items():
            self._history.pop(name, None)
            self._history[name] = event
        while len(self._history) > HISTORY_MAX:
            del self._history[next(iter(self._history))]


def _compile_all(changed: list[tuple[Record, Source]], roots: Sequence[str]) -> Failure | None:
    for _, source in changed:
        try:
            _ = source.code, source.units
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # noqa: PERF203
            return failure_of(error, roots, source)
    return None


def _shadowed(path: str) -> bool:
    """Whether a package of the same name goes before a file."""
    return os.path.exists(os.path.join(path[: -len(".py")], "__init__.py"))


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _compiled(name: str) -> Left:
    return Left(name, "compiled", "restart the kernel to use the new build")
