"""A mutation pass: small faults put into one module of `core` at a time, and its own tests run.

    python fuzz/mutate.py                            # every module, up to 40 mutants each
    python fuzz/mutate.py reconcile safety --all     # these, every mutant
    python fuzz/mutate.py --json mutants.json

A mutant is one change to the syntax tree: a comparison turned, a condition negated, a number one
higher, a call or a raise left out, a result replaced by None. It is killed if a test fails. What
survives is a missing test, or a mutant that does the same. Module constants, annotations and what
an error says are left alone. Each mutant runs in a fork that has pytest loaded, and of hypothesis's
examples only 25, the same each time.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "src/towline/core"
TESTS = ROOT / "tests/core"
MUTANTS_MAX = 40
SEED = 1
PYTEST = ["-x", "-q", "-p", "no:cacheprovider", "--timeout=0"]
PYTEST += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is there already.
PATIENCE = 6.0  # Times what the tests take by themselves; a loop without end takes longer.
WALL_S = 600.0  # A busy computer is no reason: what counts is the processor's time.
RULES = ["test_ignore.py", "test_ignore_like_git.py"]
WIRE = ["test_line.py", "test_replay.py", "test_frames.py", "test_resume.py", "test_hostile.py"]
# Modules whose tests do not bear their name.
TESTED_BY = {
    "entry": ["test_entry.py", "test_tree.py", "test_change.py"],
    "change": ["test_change.py", "test_reconcile.py"],
    **dict.fromkeys(("match", "default", "ignore"), RULES),
    "wire/fields": ["wire/test_fields.py", "wire/test_messages.py"],
    "pattern": ["test_pattern.py", *RULES],
    "rule": ["test_rule.py", *RULES],
    "wire/records": ["wire/test_messages.py"],
    **{
        f"wire/{name}": [f"wire/{test}" for test in WIRE]
        for name in ("line", "channel", "channels", "outbox", "transport", "limits", "events")
    },
}

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}

Turn = Callable[[], None]  # Changes the tree it belongs to.


@dataclass(frozen=True)
class Mutant:
    number: int
    line: int
    what: str


@dataclass
class Outcome:
    """What became of a module's mutants."""

    module: str
    found: int  # Mutants there are; those tried may be fewer.
    killed: int = 0
    hung: int = 0
    survived: list[Mutant] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.killed + self.hung + len(self.survived)


# -- Mutants ----------------------------------------------------------------------------------


def mutants_of(source: str) -> list[Mutant]:
    found = enumerate(turns(ast.parse(source)))
    return [Mutant(number, line, what) for number, (line, what, _) in found]


def mutated(source: str, number: int) -> ast.Module:
    """Return the tree of a source with one of its mutations carried out."""
    tree = ast.parse(source)
    for found, (_, _, turn) in enumerate(turns(tree)):
        if found == number:
            turn()
            return ast.fix_missing_locations(tree)
    raise IndexError(number)


def turns(tree: ast.Module) -> Iterator[tuple[int, str, Turn]]:
    """Yield line, description and deed of each mutation, in the order of the source."""
    for node in _walk(tree):
        yield from _expressions(node)
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list) and not isinstance(node, ast.Module):
                yield from _statements(statements)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may be mutated: no annotations, no module constants, no texts for people."""
    if isinstance(node, ast.FunctionDef) and node.name == "__repr__":
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "exc", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_alone(node, child):
                yield from _walk(child)


def _is_left_alone(parent: ast.AST, child: ast.AST) -> bool:
    is_constant = isinstance(child, ast.Assign | ast.AnnAssign)
    return isinstance(parent, ast.Module | ast.ClassDef) and is_constant


def _expressions(node: ast.AST) -> Iterator[tuple[int, str, Turn]]:
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                other = COMPARED[type(operator)]
                yield _turn(node, _names(operator, other), node.ops, index, other())
        case ast.BoolOp():
            other_bool = ast.Or if isinstance(node.op, ast.And) else ast.And
            yield _set(node, _names(node.op, other_bool), "op", other_bool())
        case ast.BinOp() | ast.AugAssign() if type(node.op) in COMPUTED:
            other_op = COMPUTED[type(node.op)]
            yield _set(node, _names(node.op, other_op), "op", other_op())
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(node.test, ast.Compare):
            negated = ast.UnaryOp(ast.Not(), node.test)
            yield _set(node, "condition negated", "test", negated)
        case ast.Constant(bool(value)):
            yield _set(node, f"{value} → {not value}", "value", not value)
        case ast.Constant(int(number)):
            yield _set(node, f"{number} → {number + 1}", "value", number + 1)
        case ast.Return(ast.expr() as value) if not isinstance(value, ast.Constant):
            yield _set(node, "returns None", "value", ast.Constant(None))
        case _:
            return


def _statements(body: list[ast.stmt]) -> Iterator[tuple[int, str, Turn]]:
    for index, statement in enumerate(body):
        match statement:
            case ast.Expr(ast.Constant()):  # A docstring.
                continue
            case ast.Expr() | ast.Raise() | ast.AugAssign():
                what = f"left out: {ast.unparse(statement)[:60]}"
                yield _turn(statement, what, body, index, ast.Pass())
            case ast.Continue():
                yield _turn(statement, "continue → break", body, index, ast.Break())
            case ast.Break():
                yield _turn(statement, "break → continue", body, index, ast.Continue())
            case _:
                continue


def _names(old: ast.AST, new: type[ast.AST]) -> str:
    return f"{type(old).__name__} → {new.__name__}"


def _set(node: ast.expr | ast.stmt, what: str, name: str, new: object) -> tuple[int, str, Turn]:
    return node.lineno, what, lambda: setattr(node, name, new)


def _turn(
    node: ast.expr | ast.stmt, what: str, where: list[ast.AST], index: int, new: ast.AST
) -> tuple[int, str, Turn]:
    return node.lineno, what, lambda: where.__setitem__(index, new)


# -- Trying them ------------------------------------------------------------------------------


class MutantFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module as a tree of ours instead of its source."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name, self._path, self._tree = name, path, tree

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(self._path))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self._path)
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)  # noqa: S102


def tested(name: str, path: Path, tree: ast.Module, tests: Sequence[str], limit_s: float) -> int:
    """Run the tests with this tree in a fork that exits with pytest's code; return its number."""
    pid = os.fork()
    if pid:
        return pid
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 1))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    code = 1
    try:
        sys.meta_path.insert(0, MutantFinder(name, path, tree))
        code = int(pytest.main([*PYTEST, *tests]))
    finally:
        os._exit(code)


def run(name: str, path: Path, tree: ast.Module, tests: Sequence[str], limit_s: float) -> str:
    """Run the tests with this tree, for so many seconds of a processor."""
    pid = tested(name, path, tree, tests, limit_s)
    began = time.monotonic()
    while time.monotonic() < began + WALL_S:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return _verdict(os.waitstatus_to_exitcode(status))
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung"


def _verdict(code: int) -> str:
    if code == 0:
        return "survived"
    return "hung" if code in (-signal.SIGXCPU, -signal.SIGKILL) else "killed"


def _used_s() -> float:
    """Return the processor time of the forks so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def try_module(module: str, limit: int | None) -> Outcome:
    """Try the mutants of a module, or so many of them, chosen by chance."""
    path = CORE / f"{module}.py"
    name = f"towline.core.{module.replace('/', '.')}"
    source, tests = path.read_text(), tests_of(module)
    before_s = _used_s()
    if run(name, path, ast.parse(source), tests, WALL_S) != "survived":
        raise SystemExit(f"the tests of {module} fail without any mutant: {' '.join(tests)}")
    limit_s = 2.0 + PATIENCE * (_used_s() - before_s)
    mutants = mutants_of(source)
    outcome = Outcome(module, len(mutants))
    chosen = random.Random(SEED).sample(mutants, min(len(mutants), limit or len(mutants)))  # noqa: S311
    for mutant in sorted(chosen, key=lambda mutant: mutant.number):
        match run(name, path, mutated(source, mutant.number), tests, limit_s):
            case "killed":
                outcome.killed += 1
            case "hung":
                outcome.hung += 1
            case _:
                outcome.survived.append(mutant)
                print(f"survived: {module}.py:{mutant.line} {mutant.what}", flush=True)
    return outcome


def tests_of(module: str) -> list[str]:
    directory, _, stem = module.rpartition("/")
    own = TESTS / directory / f"test_{stem}.py"
    names = TESTED_BY.get(module) or ([str(own.relative_to(TESTS))] if own.exists() else [])
    return [str(TESTS / name) for name in names] or [str(TESTS / directory)]


def modules() -> list[str]:
    found = (path.relative_to(CORE).with_suffix("") for path in sorted(CORE.rglob("*.py")))
    return [path.as_posix() for path in found if path.name != "__init__"]


def table(outcomes: Sequence[Outcome]) -> str:
    lines = ["| module | mutants | tried | killed | survived |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| `{one.module}` | {one.found} | {one.tried} | {one.killed + one.hung} "
        f"| {len(one.survived)} |"
        for one in outcomes
        if one.found
    ]
    whole = [sum(numbers) for numbers in zip(*map(_numbers, outcomes), strict=True)]
    lines.append(f"| together | {' | '.join(map(str, whole))} |")
    return "\n".join(lines)


def _numbers(one: Outcome) -> tuple[int, int, int, int]:
    return one.found, one.tried, one.killed + one.hung, len(one.survived)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python fuzz/mutate.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="as in core/MODULE.py")
    parser.add_argument("--most", type=int, default=MUTANTS_MAX, help="mutants of each module")
    parser.add_argument("--all", action="store_true", help="every mutant, however many")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT / "src")]
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    import hypothesis  # noqa: F401  In the parent: the forks have it then.

    outcomes: list[Outcome] = []
    for module in options.modules or modules():
        outcomes.append(try_module(module, None if options.all else options.most))
        one = outcomes[-1]
        print(
            f"{module}: {one.tried} of {one.found} tried, {len(one.survived)} survived", flush=True
        )
        if options.json:
            options.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=1))
    print(table(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
