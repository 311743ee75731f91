"""What changed between two versions of a body of statements. Pure: syntax against syntax."""

from __future__ import annotations

import ast
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from towline.notebook.reload.effects import FUNCTIONS, Function
from towline.notebook.reload.source import Unit

_YIELDS = (ast.Yield, ast.YieldFrom)


@dataclass
class Diff:
    """How the new units follow from the old."""

    same: list[tuple[Unit, Unit]] = field(default_factory=list[tuple[Unit, Unit]])
    changed: list[Unit] = field(default_factory=list[Unit])  # New, or in another order.
    vanished: list[Unit] = field(default_factory=list[Unit])
    before: dict[Unit, Unit] = field(default_factory=dict[Unit, Unit])  # Definition to its old one.

    @property
    def any(self) -> bool:
        return bool(self.changed or self.vanished)


def diff(old: list[Unit], new: list[Unit]) -> Diff:
    """Match units that say the same, then definitions of one name."""
    result = Diff()
    left_new = _match(old, new, lambda unit: unit.text, result)
    taken = {id(before) for before, _ in result.same}
    left_old = [unit for unit in old if id(unit) not in taken]
    left_new = _match(left_old, left_new, lambda unit: unit.fingerprint, result)
    taken = {id(before) for before, _ in result.same}
    result.vanished = [unit for unit in old if id(unit) not in taken]
    result.changed = left_new
    _pair_definitions(result)
    _find_reordered(old, new, result)
    return result


def _match(
    old: list[Unit], new: list[Unit], key: Callable[[Unit], str], result: Diff
) -> list[Unit]:
    waiting: defaultdict[str, deque[Unit]] = defaultdict(deque)
    for unit in old:
        waiting[key(unit)].append(unit)
    left: list[Unit] = []
    for unit in new:
        if same := waiting.get(key(unit)):
            result.same.append((same.popleft(), unit))
        else:
            left.append(unit)
    return left


def _pair_definitions(result: Diff) -> None:
    waiting: defaultdict[tuple[type, str], deque[Unit]] = defaultdict(deque)
    for unit in result.vanished:
        if unit.name:
            waiting[_kind(unit), unit.name].append(unit)
    for unit in result.changed:
        if unit.name and (found := waiting.get((_kind(unit), unit.name))):
            same = [old for old in found if _decorators(old) == _decorators(unit)]
            old = same[0] if same else found[0]
            found.remove(old)
            result.before[unit] = old


def _find_reordered(old: list[Unit], new: list[Unit], result: Diff) -> None:
    """Units that bind one name are in force in their order: another order is a change."""
    place = {id(unit): index for index, unit in enumerate(old)}
    before = {id(after): place[id(unit)] for unit, after in result.same}
    last: dict[str, int] = {}
    for unit in new:
        if (index := before.get(id(unit))) is None:
            continue
        if any(last.get(name, -1) > index for name in unit.binds):
            result.changed.append(unit)
        last.update(dict.fromkeys(unit.binds, index))
    moved = {id(unit) for unit in result.changed}
    result.same = [pair for pair in result.same if id(pair[1]) not in moved]


def _kind(unit: Unit) -> type:
    return ast.FunctionDef if isinstance(unit.node, FUNCTIONS) else ast.ClassDef


def _decorators(unit: Unit) -> list[str]:
    return [ast.dump(node) for node in getattr(unit.node, "decorator_list", [])]


def only_body_changed(old: Unit, new: Unit) -> bool:
    """Whether two functions differ only in what they do when called."""
    a, b = old.node, new.node
    if not (isinstance(a, FUNCTIONS) and isinstance(b, FUNCTIONS)):
        return False
    return (
        _head(a) == _head(b)
        and [ast.dump(test) for test, _ in old.guards] == [ast.dump(test) for test, _ in new.guards]
        and ast.get_docstring(a, clean=False) == ast.get_docstring(b, clean=False)
        and _is_generator(a) == _is_generator(b)
    )


def _head(node: Function) -> list[str]:
    parts = [node.args, *node.decorator_list, *([node.returns] if node.returns else [])]
    parts += getattr(node, "type_params", [])
    return [type(node).__name__, *(ast.dump(part) for part in parts)]


def _is_generator(node: Function) -> bool:
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, _YIELDS):
            return True
        if not isinstance(inner, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(inner)
    return False


def same_header(old: ast.ClassDef, new: ast.ClassDef) -> bool:
    """Whether two classes differ only in their bodies."""

    def head(node: ast.ClassDef) -> list[str]:
        parts = [*node.bases, *node.keywords, *node.decorator_list]
        return [ast.dump(part) for part in [*parts, *getattr(node, "type_params", [])]]

    return head(old) == head(new)
