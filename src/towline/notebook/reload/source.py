"""The text of a module, cut into the units that are compared and run one by one.

A unit is a top-level statement; an `if` at the top is looked through, so that what it holds are
units with a guard. Nothing here runs code or knows a live module.
"""

from __future__ import annotations
import __future__

import ast
import functools
import re
import warnings
from collections.abc import Iterable, Iterator
from importlib.util import decode_source
from types import CodeType

from towline.notebook.reload.effects import (
    Analysis,
    Effects,
    Function,
    absolute,
    analyse,
    names_bound,
)

_IMPORTS = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n]*(?:\\\n[^\n]*)*)"
    r"|import[ \t]+([^\n#;]+))",
    re.MULTILINE,
)
_WORD = re.compile(r"\w+")
Guard = tuple[ast.expr, bool]  # An `if`'s test, and which of its branches.
RAN = "__towline_ran__"  # Set by a guarded unit that was really run.
Codes = dict[tuple[str, int], CodeType]  # By name and first line.


class Unit:
    """One statement, with the `if`s around it. Compared by what it says, not where it stands."""

    def __init__(self, source: Source, node: ast.stmt, guards: tuple[Guard, ...]) -> None:
        self._source = source
        self.node = node
        self.guards = guards

    @functools.cached_property
    def text(self) -> str:
        lines = self._source.lines[first_line(self.node) - 1 : self.node.end_lineno]
        return "\n".join([*(ast.dump(test) + str(branch) for test, branch in self.guards), *lines])

    @functools.cached_property
    def fingerprint(self) -> str:
        guards = [ast.dump(test) + str(branch) for test, branch in self.guards]
        return "\n".join([*guards, ast.dump(self.node)])

    @functools.cached_property
    def binds(self) -> frozenset[str]:
        return frozenset(names_bound([self.node]))

    @functools.cached_property
    def analysis(self) -> Analysis:
        source = self._source
        lazy = bool(source.flags & __future__.annotations.compiler_flag)
        result = analyse(self.node, source.package, lazy)
        for test, _ in self.guards:
            result.now.__ior__(analyse(ast.Expr(test), source.package, lazy).now)
        return result

    @functools.cached_property
    def words(self) -> frozenset[str]:
        """Return what its own run mentions."""
        return self.analysis.now.words()

    @property
    def name(self) -> str:
        """Return the name of a `def` or `class`; else ""."""
        node = self.node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return node.name
        return ""

    @property
    def is_import(self) -> bool:
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    def code(self) -> CodeType:
        """Compile it alone, at its own lines; guarded, it says whether it was run."""
        body: list[ast.stmt] = [self.node]
        if self.guards:
            body.append(
                _at(self.node, ast.Assign([ast.Name(RAN, ast.Store())], ast.Constant(True)))
            )
        for test, branch in reversed(self.guards):
            empty: list[ast.stmt] = [_at(self.node, ast.Pass())]
            body = [_at(self.node, ast.If(test, body if branch else empty, [] if branch else body))]
        return self._source.compile(body)


class Source:
    """One version of a module's text."""

    def __init__(self, name: str, path: str, is_package: bool, data: bytes) -> None:
        self.name = name
        self.path = path
        self.package = name if is_package else name.rpartition(".")[0]
        self.data = data

    @functools.cached_property
    def tree(self) -> ast.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # They were shown when it was compiled.
            return ast.parse(self.data, self.path)

    @functools.cached_property
    def lines(self) -> list[str]:
        return decode_source(self.data).split("\n")

    @functools.cached_property
    def flags(self) -> int:
        """Return the `__future__` flags under which its parts are compiled."""
        flags = 0
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                for alias in node.names:
                    flags |= getattr(__future__, alias.name).compiler_flag
        return flags

    @functools.cached_property
    def units(self) -> list[Unit]:
        return list(self._units_of(self.tree.body, ()))

    def _units_of(self, body: list[ast.stmt], guards: tuple[Guard, ...]) -> Iterator[Unit]:
        for node in body:
            if isinstance(node, ast.If):
                yield from self._units_of(node.body, (*guards, (node.test, True)))
                yield from self._units_of(node.orelse, (*guards, (node.test, False)))
            else:
                yield Unit(self, node, guards)

    def class_units(self, node: ast.ClassDef) -> list[Unit]:
        """Return the statements of a class body as units."""
        return [Unit(self, statement, ()) for statement in node.body]

    @functools.cached_property
    def code(self) -> CodeType:
        """Compile all of it. Raises what the compiler raises."""
        return compile(self.data, self.path, "exec", dont_inherit=True)

    @functools.cached_property
    def codes(self) -> Codes:
        return index_codes(self.code)

    def forget_code(self) -> None:
        """Let go of the code objects: whoever runs them keeps them."""
        self.__dict__.pop("code", None)
        self.__dict__.pop("codes", None)

    def compile(self, body: list[ast.stmt]) -> CodeType:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ast.Module(body, [])
            code: CodeType = compile(module, self.path, "exec", self.flags, dont_inherit=True)
            return code

    def class_body(self, node: ast.ClassDef, body: list[ast.stmt]) -> CodeType:
        """Compile some statements of a class, as its body: names are mangled, `super()` works."""
        shell = ast.ClassDef(name=node.name, bases=[], keywords=[], body=body, decorator_list=[])
        if hasattr(node, "type_params"):
            setattr(shell, "type_params", [])  # noqa: B010 - Not there before 3.12.
        code = self.compile([ast.copy_location(shell, node)])
        return next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == node.name)

    def function_code(self, node: Function) -> CodeType | None:
        return self.codes.get((node.name, first_line(node)))

    @functools.cached_property
    def imports(self) -> dict[str, tuple[str, str | None]]:
        """Return, by name in the module, what it imports: a module, or an attribute of one."""
        return {bound: chain for chain, bound in self._import_chains() if bound != "*"}

    @functools.cached_property
    def stars(self) -> list[str]:
        """Return the modules that it imports everything from."""
        return [module for (module, _), bound in self._import_chains() if bound == "*"]

    @functools.cached_property
    def imported(self) -> set[str]:
        """Return all modules it may import when it runs, submodules by a guess at their names."""
        found: set[str] = set()
        for unit in self.units:
            for chain in unit.analysis.now.reads:
                if chain[0] == "":
                    found.add(chain[1])
                    found.add(".".join(chain[1:]))
        return found

    def _import_chains(self) -> Iterator[tuple[tuple[str, str | None], str]]:
        for unit in self.units:
            for node in _outside_functions(unit.node):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        whole = alias.name if alias.asname else alias.name.partition(".")[0]
                        yield (whole, None), alias.asname or whole
                elif isinstance(node, ast.ImportFrom):
                    module = absolute(self.package, node.module, node.level)
                    for alias in node.names:
                        yield (module, alias.name), alias.asname or alias.name

    @functools.cached_property
    def later(self) -> dict[str, Effects]:
        """Return what each of its functions does when called, by qualified name."""
        found: dict[str, Effects] = {}
        for unit in self.units:
            lone = next(iter(unit.binds)) if len(unit.binds) == 1 else ""
            for name, effects in unit.analysis.later.items():
                name = lone if name == "<lambda>" and lone else name
                found.setdefault(name, Effects()).__ior__(effects)
        return found

    @functools.cached_property
    def later_words(self) -> dict[str, frozenset[str]]:
        return {name: effects.words() for name, effects in self.later.items()}

    @functools.cached_property
    def may_import(self) -> set[str] | None:
        """Return the modules that its text may import, without parsing it; None: any."""
        if b"import_module" in self.data or b"__import__" in self.data:
            return None
        found: set[str] = set()
        for source, names, plain in _IMPORTS.findall(self.data.decode("utf-8", "replace")):
            if plain:
                found.update(part.split()[0] for part in plain.split(",") if part.strip())
                continue
            dots = len(source) - len(source.lstrip("."))
            module = absolute(self.package, source.lstrip(".") or None, dots)
            found.add(module)
            found.update(f"{module}.{name}" for name in _WORD.findall(names))
        return found

    def mentions(self, word: str) -> bool:
        """Whether the word stands anywhere in the text. Cheap: nothing is parsed."""
        return word.encode() in self.data


def all_bound(units: Iterable[Unit]) -> set[str]:
    """Return the names that some units bind."""
    return {name for unit in units for name in unit.binds}


def first_line(node: ast.AST) -> int:
    """Return the line that a code object gives for a definition: that of its first decorator."""
    decorators = getattr(node, "decorator_list", [])
    return decorators[0].lineno if decorators else getattr(node, "lineno", 0)


def index_codes(code: CodeType) -> Codes:
    """Return all code objects inside one."""
    found: Codes = {}
    waiting = [code]
    while waiting:
        for constant in waiting.pop().co_consts:
            if isinstance(constant, CodeType):
                found[constant.co_name, constant.co_firstlineno] = constant
                waiting.append(constant)
    return found


def _at(where: ast.AST, node: ast.stmt) -> ast.stmt:
    return ast.fix_missing_locations(ast.copy_location(node, where))


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    for child in ast.iter_child_nodes(node):
        yield from _outside_functions(child)
