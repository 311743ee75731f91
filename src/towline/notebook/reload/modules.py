"""The modules that are ours: by name and by file, with the text that each one runs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType, ModuleType

from towline.notebook.reload.early import keep_text, text_of
from towline.notebook.reload.finder import Finder, is_ours
from towline.notebook.reload.peek import attributes_of, file_of
from towline.notebook.reload.reach import functions_of
from towline.notebook.reload.source import Codes, Source, index_codes

Stamp = tuple[int, ...]


@dataclass(eq=False)
class Record:
    """A module, its text, and the code objects that its functions really run."""

    name: str
    module: ModuleType
    source: Source
    codes: Codes
    order: int
    seconds: float = 0.0
    stamp: Stamp = ()
    doubted: bool = field(default=False)  # Imported before we were here: its text is a guess.
    stand_in: object = None  # What it has put in its own place in `sys.modules`.

    @property
    def namespace(self) -> dict[str, object]:
        return vars(self.module)

    @property
    def imported(self) -> object:
        """What an import of it leads to."""
        return self.module if self.stand_in is None else self.stand_in


Known = tuple[dict[str, Record], dict[str, set[str]]]


class Modules:
    """What was imported from below the roots, kept up to date by the import hook."""

    def __init__(self, roots: Sequence[str]) -> None:
        self.roots = _both_forms(roots)
        self.finder = Finder(self.roots, self._imported)
        self._records: dict[str, Record] = {}
        self._by_path: dict[str, set[str]] = {}
        self._looked_at: dict[str, int] = {}  # By name, the module's id.
        self.adopt_all()
        sys.meta_path.insert(0, self.finder)

    def extend(self, roots: Sequence[str]) -> None:
        self.roots = self.finder.roots = _both_forms(roots)

    def close(self) -> None:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self.finder)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def get(self, name: str) -> Record | None:
        """Return the record of a module that is still the one in `sys.modules`."""
        record = self._records.get(name)
        if record is not None and sys.modules.get(name) is not record.imported:
            return None
        return record

    def at(self, path: str) -> list[Record]:
        """Return the modules that come from a file: one, or the same under several names."""
        names = sorted(self._by_path.get(real(path), ()))
        return [record for name in names if (record := self.get(name)) is not None]

    def compiled_at(self, path: str) -> str | None:
        """Return the name of the extension module that was loaded from a file."""
        if not path.endswith((".so", ".pyd")):
            return None
        for name, module in list(sys.modules.items()):  # Rare: only for such a file.
            if real(file_of(module)) == real(path):
                return name
        return None

    def names_for(self, path: str) -> list[str]:
        """Return the names under which a file could be imported, below each root."""
        stem = path[: -len(".py")]
        if os.path.basename(stem) == "__init__":
            stem = os.path.dirname(stem)
        names: list[str] = []
        for root in self.roots:
            if stem.startswith(root + os.sep):
                name = stem[len(root) + 1 :].replace(os.sep, ".")
                names += [name] if name not in names else []
        return names

    def adopt(self, name: str) -> Record | None:
        """Take up a module that the hook has not seen, with the text that it runs; with an empty
        one, and no stamp, where that is lost."""
        module = sys.modules.get(name)
        path = file_of(module)
        if module is not None and not path and hasattr(module, "__path__"):
            return self._adopt_namespace(module)
        if module is None or not path.endswith(".py"):
            return None
        if name == "__main__" or not is_ours(path, self.roots):
            return None
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        text = text_of(module, path, data)
        self._imported(module, path, text or b"", None, 0.0)
        record = self._records[name]
        record.stamp = record.stamp if text == data else ()
        return record

    def adopt_all(self) -> list[Record]:
        """Take up what the hook has not seen: imported earlier, or past it."""
        found: list[Record] = []
        for name, module in list(sys.modules.items()):
            if self._looked_at.get(name) == id(module):
                continue
            self._looked_at[name] = id(module)
            known = self._records.get(name)
            is_known = known is not None and known.imported is module
            if not is_known and file_of(module) and (new := self.adopt(name)):
                found.append(new)
        return found

    def not_loaded(self, name: str) -> Source | None:
        """Return the text of a module of ours that nothing has imported yet, if it compiles."""
        parent, _, child = name.rpartition(".")
        if name in sys.modules or child in attributes_of(sys.modules.get(parent)):
            return None
        for root in self.roots:
            for end in (f"{os.sep}__init__.py", ".py"):
                path = os.path.join(root, *name.split(".")) + end
                with contextlib.suppress(OSError, SyntaxError, ValueError):
                    with open(path, "rb") as file:
                        source = Source(name, path, end != ".py", file.read())
                    _ = source.units
                    return source
        return None

    def _adopt_namespace(self, module: ModuleType) -> Record:
        """Take up a package without a file: it may get one."""
        source = Source(module.__name__, "", True, b"")
        record = Record(module.__name__, module, source, {}, len(self._records))
        self.remember(record)
        return record

    def forget(self, record: Record) -> None:
        self._records.pop(record.name, None)
        self._by_path.get(real(record.source.path), set()).discard(record.name)

    def remember(self, record: Record) -> None:
        keep_text(record.module, record.source.data)
        self._records[record.name] = record
        self._by_path.setdefault(real(record.source.path), set()).add(record.name)

    def snapshot(self) -> Known:
        """Return what is known, to go back to it with `restore`."""
        return dict(self._records), {path: set(names) for path, names in self._by_path.items()}

    def restore(self, known: Known) -> None:
        records, by_path = known
        self._records = dict(records)
        self._by_path = {path: set(names) for path, names in by_path.items()}

    def _imported(
        self, module: ModuleType, path: str, data: bytes, code: CodeType | None, seconds: float
    ) -> None:
        source = Source(module.__name__, path, hasattr(module, "__path__"), data)
        known = index_codes(code) if code is not None else {}
        order = len(self._records)
        record = Record(module.__name__, module, source, known, order, seconds, stamp_of(path))
        if code is None:
            record.doubted = True
            record.codes = codes_alive(record)
        elif (now := sys.modules.get(record.name)) is not module:
            record.stand_in = now
        old = self._records.get(record.name)
        if old is not None:
            self.forget(old)
        self.remember(record)


def codes_alive(record: Record) -> Codes:
    """Return the code objects of a module's functions, found from what its names hold."""
    found: Codes = {}
    for function in functions_of(record.module):
        code = function.__code__
        if code.co_filename == record.source.path:
            found[code.co_name, code.co_firstlineno] = code
            found.update(index_codes(code))
    return found


def _both_forms(roots: Sequence[str]) -> tuple[str, ...]:
    """Return folders as they are named, and without links."""
    forms = [form for root in roots for form in (os.path.abspath(root), os.path.realpath(root))]
    return tuple(dict.fromkeys(forms))


def real(path: str) -> str:
    """Return a path without links, also if its last part is gone."""
    return os.path.realpath(path)


def stamp_of(path: str) -> Stamp:
    """Return what tells that a file is another one than before; () if it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
