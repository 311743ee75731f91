"""What a piece of code reads, calls and changes when it runs, as far as its syntax tells.

Names are chains: `a.b.c` is ("a", "b", "c"). An import reads absolute chains, which begin with
"" and the module: ("", "pkg.mod", "K"). What a function's body does is kept apart: it happens
later. Nothing here looks at live objects.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Chain = tuple[str, ...]
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
STAR = "*"

CHANGERS = frozenset(
    [
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "clear",
        "sort",
        "reverse",
        "add",
        "discard",
        "update",
        "setdefault",
        "popitem",
        "appendleft",
        "extendleft",
        "popleft",
        "rotate",
        "register",
        "subscribe",
        "connect",
    ]
)
CALL_WHAT_THEY_GET = frozenset(
    ["map", "filter", "sorted", "min", "max", "reduce", "sum", "any", "all", "list", "tuple"]
)


@dataclass
class Effects:
    """What happens when the code runs."""

    reads: set[Chain] = field(default_factory=set[Chain])
    calls: set[Chain] = field(default_factory=set[Chain])
    given: set[Chain] = field(default_factory=set[Chain])  # Handed to a call as an argument.
    bases: set[Chain] = field(default_factory=set[Chain])  # Of classes made, and metaclasses.
    changes: set[Chain] = field(default_factory=set[Chain])
    methods: set[str] = field(default_factory=set[str])  # Called on what has no name of its own.
    touches: set[str] = field(default_factory=set[str])  # Attributes read of what has no name.

    def words(self) -> frozenset[str]:
        """Return every word in it: a name that is none of them cannot matter here."""
        chains = (word for chain in (*self.reads, *self.calls, *self.given) for word in chain)
        named = frozenset(part for word in chains for part in word.split("."))
        return named | self.methods | self.touches

    def __ior__(self, other: Effects) -> Effects:
        for name in ("reads", "calls", "given", "bases", "changes", "methods", "touches"):
            getattr(self, name).update(getattr(other, name))
        return self


@dataclass
class Analysis:
    """`now`: when the statement runs; `later`: by qualified name, when a function is called."""

    now: Effects
    later: dict[str, Effects]


def analyse(node: ast.stmt, package: str, lazy_annotations: bool) -> Analysis:
    """Return what a statement does. `package` is where its relative imports start."""
    reader = _Reader(package, lazy_annotations)
    reader.visit(node)
    return Analysis(reader.effects, reader.later)


def names_bound(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that statements bind in their own scope."""
    return {name for node in nodes for name in _bound_by(node)}


def _bound_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
            yield from names_bound(node.decorator_list)
            return
        case ast.Lambda():
            return
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case ast.Import():
            yield from (a.asname or a.name.partition(".")[0] for a in node.names)
        case ast.ImportFrom():
            yield from (a.asname or a.name for a in node.names if a.name != STAR)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            for inner in ast.walk(node):
                if isinstance(inner, ast.NamedExpr):
                    yield inner.target.id
            return
        case _:
            pass
    for child in ast.iter_child_nodes(node):
        yield from _bound_by(child)


def absolute(package: str, module: str | None, level: int) -> str:
    """Return the module that a `from ... import` names, from inside `package`."""
    if not level:
        return module or ""
    parts = package.split(".")
    base = parts[: len(parts) - level + 1]
    return ".".join([*base, module] if module else base)


def chain_of(node: ast.expr) -> Chain | None:
    """Return ("a", "b") for `a.b` and `getattr(a, "b")`; None for what begins with no name."""
    parts: list[str] = []
    while True:
        match node:
            case ast.Attribute(value, attribute):
                pass
            case ast.Call(ast.Name("getattr"), [value, ast.Constant(str(attribute)), *_]):
                pass
            case _:
                break
        parts.append(attribute)
        node = value
    if not isinstance(node, ast.Name):
        return None
    return (node.id, *reversed(parts))


def _locals_of(node: Function | ast.Lambda) -> set[str]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    names = {argument.arg for argument in every}
    if isinstance(node, ast.Lambda):
        return names
    names |= names_bound(node.body)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Global):
            names -= set(inner.names)
    return names


class _Reader(ast.NodeVisitor):
    """Collects effects; a scope's local names are not the module's."""

    def __init__(self, package: str, lazy_annotations: bool) -> None:
        self.effects = Effects()
        self.later: dict[str, Effects] = {}
        self._package = package
        self._lazy = lazy_annotations
        self._local: list[set[str]] = []
        self._qualname: list[str] = []
        self._in_function = False

    # Functions, classes: now and later

    def visit_FunctionDef(self, node: Function) -> None:
        for decorator in node.decorator_list:
            self._call(decorator)
        self._defaults(node.args)
        self._annotations(node)
        if self._in_function:
            self._body(node, node.body)
            return
        name = ".".join([*self._qualname, node.name])
        self._later(name, node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._defaults(node.args)
        if self._in_function:
            self._body(node, [node.body])
        else:
            self._later(".".join([*self._qualname, "<lambda>"]), node, [node.body])

    def _later(
        self, name: str, node: Function | ast.Lambda, body: list[ast.stmt] | list[ast.expr]
    ) -> None:
        outer, self.effects, self._in_function = self.effects, Effects(), True
        classes, self._local = self._local, []  # A class's names are not seen from its methods.
        self._body(node, body)
        inner, self.effects, self._in_function, self._local = self.effects, outer, False, classes
        self.later.setdefault(name, Effects()).__ior__(inner)

    def _body(self, node: Function | ast.Lambda, body: list[ast.stmt] | list[ast.expr]) -> None:
        self._local.append(_locals_of(node))
        for statement in body:
            self.visit(statement)
        self._local.pop()

    def _defaults(self, arguments: ast.arguments) -> None:
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.visit(default)

    def _annotations(self, node: Function) -> None:
        if self._lazy:
            return
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
        for annotation in [*(argument.annotation for argument in every), node.returns]:
            if annotation is not None:
                self.visit(annotation)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self._call(decorator)
        for base in [*node.bases, *(keyword.value for keyword in node.keywords)]:
            if (chain := chain_of(base)) is not None:
                self._add(self.effects.bases, chain)
            self._call(base) if isinstance(base, ast.Call) else self.visit(base)
        self._local.append(set())
        self._qualname.append(node.name)
        for statement in node.body:
            self.visit(statement)
            self._local[-1].update(names_bound([statement]))  # Below `K = K` it is the class's.
        self._qualname.pop()
        self._local.pop()

    # Names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._add(self.effects.reads, (node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain = chain_of(node)
        if chain is None or self._is_local(chain[0]):
            self.effects.touches.add(node.attr)
            self.visit(node.value)
        elif isinstance(node.ctx, ast.Load):
            self.effects.reads.add(chain)
        else:
            self._add(self.effects.reads, chain[:-1])
            self._add(self.effects.changes, chain[:-1])

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node.value)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._change(node.target)
        if (chain := chain_of(node.target)) is not None:
            self._add(self.effects.reads, chain)
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._change(target)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)
        if not self._lazy and not self._in_function:
            self.visit(node.annotation)

    def visit_Global(self, node: ast.Global) -> None:
        self.effects.changes.update((name,) for name in node.names)

    # Calls

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            self._change(node.value.func.value)  # Called for its effect: on what it is called on.
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._call(node.func)
        if (chain := chain_of(node)) is not None:
            self._add(self.effects.reads, chain)
        if isinstance(node.func, ast.Attribute) and node.func.attr in CHANGERS:
            self._change(node.func.value)
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        called = chain_of(node.func)
        calls_them = called is not None and called[-1] in CALL_WHAT_THEY_GET
        for argument in arguments:
            chain = chain_of(argument)
            if isinstance(argument, ast.Lambda) and not self._in_function:
                self._body(argument, [argument.body])
            elif chain is not None and calls_them:
                self._call(argument)
            else:
                if chain is not None:
                    self._add(self.effects.given, chain)
                self.visit(argument)

    def _call(self, node: ast.expr) -> None:
        """Take what is called; decorators and bases come here, too."""
        chain = chain_of(node)
        if chain is None:
            if isinstance(node, ast.Attribute):
                self.effects.methods.add(node.attr)
            self.visit(node)
        elif self._is_local(chain[0]):
            self.effects.methods.update(chain[-1:] if len(chain) > 1 else ())
        else:
            self.effects.reads.add(chain)
            self.effects.calls.add(chain)

    def _change(self, node: ast.expr) -> None:
        while isinstance(node, ast.Subscript | ast.Call):
            node = node.func if isinstance(node, ast.Call) else node.value
        if (chain := chain_of(node)) is not None:
            self._add(self.effects.changes, chain)

    def _add(self, chains: set[Chain], chain: Chain) -> None:
        if not self._is_local(chain[0]):
            chains.add(chain)

    def _is_local(self, name: str) -> bool:
        return any(name in names for names in self._local)

    # Imports

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.effects.reads.add(("", alias.name))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = absolute(self._package, node.module, node.level)
        for alias in node.names:
            self.effects.reads.add(("", module, alias.name))

    # Comprehensions: their targets are local to them.

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> None:
        targets = (generator.target for generator in node.generators)
        names = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
        self._local.append(names)
        self.generic_visit(node)
        self._local.pop()

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension  # noqa: N815
