"""Functions that say what they said, but stand elsewhere now: tracebacks must show where."""

from __future__ import annotations

import ast
from types import CodeType
from typing import TYPE_CHECKING

from towline.notebook.reload.patch import nested_pairs, patch_code, same_behaviour
from towline.notebook.reload.source import Codes, index_codes
from towline.notebook.reload.work import Work, definitions, key_of

if TYPE_CHECKING:
    from towline.notebook.reload.transaction import Transaction


def move_lines(transaction: Transaction, work: Work) -> None:
    """Give functions that only stand elsewhere their new lines."""
    if work.old is work.new:
        return
    transaction.enter(work)
    pairs = list(work.diff.same)
    for unit in work.new.units:
        if id(unit) in work.classes:
            pairs += work.classes[id(unit)].same
    known = work.codes_before
    # At the new text's lines, where another function may have stood before.
    fresh = {key: code for key, code in work.record.codes.items() if known.get(key) is not code}
    moved: Codes = {}
    for old, new in pairs:
        for a, b in definitions(old.node, new.node):
            if key_of(b) not in fresh and (before := known.get(key_of(a))) is not None:
                after = _moved(transaction, work, before, work.new.function_code(b))
                moved[key_of(b)] = after
                moved.update(index_codes(after))
    _move_classes(transaction, work)
    work.record.codes = {**work.new.codes, **fresh, **moved}


def _moved(
    transaction: Transaction, work: Work, before: CodeType, after: CodeType | None
) -> CodeType:
    functions = work.functions.get(id(before))
    if after is None or not functions or not same_behaviour(before, after):
        return before
    for function in functions:
        if function.__code__ is before:
            patch_code(function, after, transaction.journal)
    for old, new in nested_pairs(before, after):
        transaction.leftovers.nested_changed(old, new, old.co_name, True)
    return after


def _move_classes(transaction: Transaction, work: Work) -> None:
    for node in work.new.tree.body:
        kind = work.record.namespace.get(getattr(node, "name", ""))
        if isinstance(node, ast.ClassDef) and isinstance(kind, type):
            lines = kind.__dict__.get("__firstlineno__")
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if lines is not None and lines != start and kind.__module__ == work.name:
                transaction.journal.assign(kind, "__firstlineno__", start)
