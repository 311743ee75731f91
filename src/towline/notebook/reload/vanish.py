"""Modules whose file is gone, and that come back: a branch is switched, a stash is popped.

A module that is gone leaves `sys.modules`, so that importing it fails as it must. If its file
returns, the same module object is taken up again: who held it goes on with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from towline.notebook.reload.journal import Journal
from towline.notebook.reload.modules import Modules, Record, real
from towline.notebook.reload.report import Left

if TYPE_CHECKING:
    from towline.notebook.reload.transaction import Transaction


class Vanished:
    """The modules that are gone, by their file."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._gone: dict[str, Record] = {}
        self._before: dict[str, Record] = {}

    def paths(self) -> list[str]:
        """Return the files that are back."""
        return [path for path in self._gone if os.path.exists(path)]

    def remove(self, gone: list[Record], transaction: Transaction) -> list[Left]:
        left: list[Left] = []
        journal = transaction.journal
        for record in gone:
            transaction.taint.mark_value((record.name, ""))
            journal.drop(sys.modules, record.name)
            parent, _, child = record.name.rpartition(".")
            holder = sys.modules.get(parent)
            if holder is not None and vars(holder).get(child) is record.imported:
                journal.erase(holder, child)
            self._gone[real(record.source.path)] = record
            self._modules.forget(record)
            left += self._held(record, transaction)
        return left

    def _held(self, record: Record, transaction: Transaction) -> list[Left]:
        names = transaction.names_from(record)
        if not names:
            return []
        words = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return [Left(record.name, f"deleted, still held as {words}", "remove what uses it")]

    def bring_back(self, paths: Iterable[str], journal: Journal) -> None:
        """Take up modules whose file has returned, as they were; their text is compared next."""
        self._before = dict(self._gone)
        for path in paths:
            record = self._gone.pop(real(path), None)
            if record is None or record.name in sys.modules:
                continue
            parent, _, child = record.name.rpartition(".")
            holder = sys.modules.get(parent)
            if parent and holder is None:
                continue
            journal.put(sys.modules, record.name, record.imported)
            if holder is not None:
                journal.assign(holder, child, record.imported)
            self._modules.remember(record)

    def restore(self) -> None:
        """The reload was taken back."""
        self._gone = dict(self._before)
