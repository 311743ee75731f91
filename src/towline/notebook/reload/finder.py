"""The import hook: what a module of ours is made from is the text that was read, and it is kept.

It goes past `.pyc` files: they are judged by whole seconds and size, so that two saves of one size
within a second would run old code. What is not below the roots is left to the others at once.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType

from towline.notebook.reload.journal import Journal

Imported = Callable[[ModuleType, str, bytes, CodeType, float], None]
FOREIGN = ("site-packages", "dist-packages")  # An environment that lies inside the project.


def is_below(path: str, roots: Sequence[str]) -> bool:
    """Whether a path is below one of the roots, and not in an environment in there."""
    for root in roots:
        if path.startswith(root + os.sep):
            return not any(part in FOREIGN for part in path[len(root) :].split(os.sep))
    return False


def is_ours(path: str, roots: Sequence[str]) -> bool:
    """Whether a file or folder is below one of the roots, however it is named: by way of a link,
    or from the present folder."""
    path = os.path.abspath(path)
    return is_below(path, roots) or is_below(_without_links(path), roots)


@functools.lru_cache(maxsize=4096)
def _without_links(path: str) -> str:
    return os.path.realpath(path)


class Loader(SourceFileLoader):
    """Loads a module from its text and tells what it read."""

    def __init__(self, name: str, path: str, imported: Imported) -> None:
        super().__init__(name, path)
        self._imported = imported
        self._read: tuple[bytes, CodeType] | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        data = self.get_data(path)
        code = compile(data, path, "exec", dont_inherit=True)
        self._read = (data, code)
        return code

    def exec_module(self, module: ModuleType) -> None:
        start = time.perf_counter()
        super().exec_module(module)
        if self._read is not None:
            data, code = self._read
            self._imported(module, self.path, data, code, time.perf_counter() - start)


class Finder:
    """Stands first in `sys.meta_path` and lets the others find; then swaps the loader."""

    def __init__(self, roots: Sequence[str], imported: Imported) -> None:
        self.roots = roots
        self._imported = imported

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not self._may_be_ours(name, path):
            return None
        spec = self._found_by_others(name, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader or spec.origin is None:
            return spec
        if is_ours(spec.origin, self.roots):
            spec.loader = Loader(name, spec.loader.path, self._imported)
        return spec

    def find_again(self, name: str) -> ModuleSpec | None:
        """Look where a module would come from if it were imported now."""
        parent = name.rpartition(".")[0]
        holder = sys.modules.get(parent)
        if parent and holder is None:
            return None
        path = None if holder is None else getattr(holder, "__path__", None)
        if parent and path is None:
            return None
        return self.find_spec(name, path)

    def _may_be_ours(self, name: str, path: Sequence[str] | None) -> bool:
        if path is not None:
            return any(entry in self.roots or is_ours(entry, self.roots) for entry in path)
        below = [entry for entry in sys.path if is_ours(entry, self.roots)]
        return any(
            os.path.exists(os.path.join(root, name + ".py"))
            or os.path.isdir(os.path.join(root, name))
            for root in (*self.roots, *below)
        )

    def _found_by_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is self or isinstance(finder, Finder):
                continue
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None else None
            if spec is not None:
                return spec
        return None


def relocate(module: ModuleType, spec: ModuleSpec, journal: Journal) -> None:
    """Tell a module that it comes from another file: a package now, or no longer."""
    locations = spec.submodule_search_locations
    package = spec.name if locations is not None else spec.name.rpartition(".")[0]
    facts = {"__file__": spec.origin, "__spec__": spec, "__loader__": spec.loader}
    for name, value in {**facts, "__cached__": spec.cached, "__package__": package}.items():
        journal.assign(module, name, value)
    if locations is not None:
        journal.assign(module, "__path__", locations)
    else:
        journal.erase(module, "__path__")


def invalidate() -> None:
    """Files came or went: finders must look again."""
    _without_links.cache_clear()
    importlib.invalidate_caches()
    for finder in sys.path_importer_cache.values():  # Same mtime of a folder: not trusted either.
        forget = getattr(finder, "invalidate_caches", None)
        if forget is not None:
            forget()
