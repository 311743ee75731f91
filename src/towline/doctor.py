"""What towline needs of the laptop and of the machine, each looked at by one function.

A check observes and says what to do; it changes nothing and never raises.
"""

from __future__ import annotations

import enum
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from towline.control import ask
from towline.errors import ExitCode, UserError
from towline.line.options import SshOptions
from towline.places import Binding, Workspaces, runtime_dir, state_dir

COMMAND_TIMEOUT_S = 5.0
MACHINE_TIMEOUT_S = 20.0  # Far away, behind a hop, and asleep is slow; longer is not there.
DIRECTORIES_COUNTED_MAX = 500_000  # Counting more takes longer than the answer is worth.
FREE_SPACE_MIN = 1 << 30  # Bytes. State is small, but pulled results are not.
CLOCK_OFFSET_MAX_S = 5.0  # Less is the time the answer took, and no harm.
PYTHON_MIN = (3, 10)  # What the agent runs on; the bundle is written for it.

NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph"}
"""Changes made on another computer are not notified on these."""

MARK = "TOWLINE"  # What stands before it is of files that run at each login.
MACHINE_PROBE = "exec /bin/sh -c " + shlex.quote(  # fish and tcsh are login shells, too.
    f"echo {MARK}; date +%s; command -v python3 >/dev/null || {{ echo none; exit; }};"
    ' python3 -c "import sys; print(*sys.version_info[:3], sep=chr(46))"'
)


class Verdict(enum.Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    verdict: Verdict
    finding: str
    to_do: str = ""


def _ok(name: str, finding: str) -> Check:
    return Check(name, Verdict.OK, finding)


def _warn(name: str, finding: str, to_do: str) -> Check:
    return Check(name, Verdict.WARN, finding, to_do)


def _fail(name: str, finding: str, to_do: str) -> Check:
    return Check(name, Verdict.FAIL, finding, to_do)


def check_laptop(project: Path) -> Iterator[Check]:
    """Yield all that concerns this computer and `project`, the quick ones first."""
    yield check_python()
    yield check_ssh()
    yield check_git(project)
    yield check_configuration(project)
    yield check_state_directory()
    yield check_runtime_directory()
    yield check_disk_space(project)
    yield check_file_system(project)
    yield check_case(project)
    yield check_watches(project)


def check_python() -> Check:
    return _ok("python", f"{platform.python_version()} at {sys.executable}")


def check_ssh() -> Check:
    """The client's version, as it tells it itself."""
    program = shutil.which("ssh")
    if program is None:
        return _fail("ssh", "there is no ssh program", "install the OpenSSH client")
    try:
        done = _run([program, "-V"])
    except (OSError, subprocess.TimeoutExpired) as error:
        return _fail("ssh", f"{program} does not run: {error}", "repair the OpenSSH client")
    version = (done.stderr or done.stdout).strip()
    if "OpenSSH" not in version:
        return _warn("ssh", f"{program}: {version}", "towline is made for the OpenSSH client")
    return _ok("ssh", f"{version.split(',')[0]} at {program}")


def check_git(project: Path) -> Check:
    """git is not needed; with it, its own excludes file is found the way git finds it."""
    program = shutil.which("git")
    if program is None:
        return _warn("git", "there is no git program", "its global excludes are not honoured")
    try:
        version = _run([program, "--version"]).stdout.strip().removeprefix("git version ")
        excludes = _run([program, "-C", str(project), "config", "core.excludesFile"]).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return _warn("git", f"{program} does not run: {error}", "repair git")
    return _ok("git", f"{version}, " + (f"excludes from {excludes}" if excludes else "no excludes"))


def check_configuration(project: Path) -> Check:
    from towline import config

    try:
        config.load(project, os.environ)
    except UserError as error:
        return _fail("configuration", error.message, error.hint)
    return _ok("configuration", "valid")


def check_state_directory() -> Check:
    try:
        directory = state_dir()
        with tempfile.TemporaryFile(dir=directory):
            mode = stat.S_IMODE(directory.stat().st_mode)
    except UserError as error:
        return _fail("state", error.message, error.hint)
    except OSError as error:
        return _fail("state", f"nothing can be written: {error}", "free space or fix permissions")
    return _ok("state", f"{directory}, mode {mode:04o}")


def check_runtime_directory() -> Check:
    try:
        return _ok("sockets", str(runtime_dir()))
    except UserError as error:
        return _fail("sockets", error.message, error.hint)


def check_registry() -> Check:
    try:
        Workspaces().check()
        return _ok("registry", f"{sum(1 for _ in Workspaces())} known")
    except UserError as error:
        return _fail("registry", error.message, error.hint)


def check_disk_space(project: Path) -> Check:
    free = shutil.disk_usage(project).free
    finding = f"{free / 1e9:.1f} GB free at {project}"
    if free < FREE_SPACE_MIN:
        return _warn("disk", finding, "free some; what the machine sends back needs room")
    return _ok("disk", finding)


def check_file_system(project: Path) -> Check:
    """Whether changes are notified there."""
    kind = file_system_of(project)
    if kind in NETWORK_FILE_SYSTEMS:
        return _warn(
            "file system",
            f"{project} is on {kind}",
            "changes made on other computers are found by looking, not by notification",
        )
    return _ok("file system", f"{project} is on {kind or 'a local disk'}")


def file_system_of(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the file system `path` is on, or nothing where that is not told."""
    try:
        lines = mounts.read_bytes().split(b"\n")
    except OSError:
        return ""
    found = ("", "")
    for _, name, kind, *_ in (fields for line in lines if len(fields := line.split(b" ")) > 2):
        point = os.fsdecode(_OCTAL.sub(lambda code: bytes([int(code[1], 8)]), name))
        if path.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind.decode("ascii", "replace"))
    return found[1]


_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")  # A space is \040 there.


def check_case(project: Path) -> Check:
    """Whether names that differ in case only are one file, as on macOS and Windows."""
    other = project.with_name(project.name.swapcase())
    folds = other.name != project.name and other.exists() and other.samefile(project)
    if folds:
        return _warn(
            "case",
            "names that differ only in case are one file here",
            "such names from the machine are reported as problems",
        )
    return _ok("case", "names are told apart by case")


def check_watches(project: Path) -> Check:
    """inotify's limits against the number of directories."""
    if sys.platform != "linux":
        return _ok("watches", "the system has no limit that matters")
    limits = Path("/proc/sys/fs/inotify")
    try:
        watches = int((limits / "max_user_watches").read_text())
        instances = int((limits / "max_user_instances").read_text())
    except (OSError, ValueError) as error:
        return _warn("watches", f"the limits cannot be read: {error}", "")
    directories = count_directories(project)
    finding = f"{directories:,} directories, {watches:,} watches, {instances:,} instances allowed"
    if directories > watches // 2:  # Editors and others take from the same.
        return _warn(
            "watches",
            finding,
            f"sudo sysctl fs.inotify.max_user_watches={max(watches * 4, directories * 4)}",
        )
    return _ok("watches", finding)


def count_directories(project: Path) -> int:
    """Those of ignored trees too: how many there could be is what matters for a limit."""
    count = 0
    for _ in os.walk(project):
        count += 1
        if count >= DIRECTORIES_COUNTED_MAX:
            break
    return count


def check_machine(destination: str, ssh: SshOptions) -> Iterator[Check]:
    """Yield what one ssh there and back tells: reachable, how fast, its Python, its clock."""
    start = time.time()
    try:
        done = _run(
            ssh.running(destination, MACHINE_PROBE, flags=["-T"], settings=["BatchMode=yes"]),
            MACHINE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        finding = f"{destination} did not answer within {MACHINE_TIMEOUT_S:.0f} s"
        yield _fail("machine", finding, f"try `ssh -v {destination}`")
        return
    except OSError as error:
        yield _fail("machine", f"ssh does not run: {error}", "install the OpenSSH client")
        return
    took = time.time() - start
    if done.returncode == 255:  # ssh's own; else it is the command's.
        yield _fail("machine", _last_line(done.stderr), _to_do_for(done.stderr, destination))
        return
    yield _ok("machine", f"{destination} answered in {took:.1f} s")
    clock, _, version = done.stdout.rpartition(f"{MARK}\n")[2].strip().partition("\n")
    yield _check_clock(clock, start, took)
    yield _check_machine_python(version)


def _check_clock(told: str, start: float, took: float) -> Check:
    if not told.isdecimal():
        return _warn("clock", "the machine does not tell its time", "")
    offset = int(told) + 0.5 - (start + took / 2)
    if abs(offset) > CLOCK_OFFSET_MAX_S + took / 2:
        return _warn(
            "clock",
            f"the machine's clock is {abs(offset):.0f} s {'ahead' if offset > 0 else 'behind'}",
            "syncing does not mind; build tools that compare times may",
        )
    return _ok("clock", "both agree")


def _check_machine_python(version: str) -> Check:
    name = "machine python"
    numbers = version.strip().split(".")
    if not all(number.isdecimal() for number in numbers):
        return _fail(name, "there is no python3 on the machine", "install Python 3.10 or later")
    if tuple(int(number) for number in numbers)[:2] < PYTHON_MIN:
        return _fail(name, f"{version} is too old", "install Python 3.10 or later")
    return _ok(name, version.strip())


def check_control(binding: Binding) -> Check:
    """Whether an engine runs and answers."""
    try:
        who = ask(binding, "who")
    except UserError as error:
        if error.exit_code is ExitCode.UNAVAILABLE:
            return _ok("engine", f"{binding.name}: not running")
        return _fail("engine", error.message, error.hint)
    return _ok("engine", f"{binding.name}: process {who['pid']}, version {who['version']}")


def _to_do_for(message: str, destination: str) -> str:
    if "Permission denied" in message:
        return (
            f"ssh {destination} must log in without a question: add your key there or to ssh-agent"
        )
    if "Host key verification failed" in message:
        return f"log in once by hand and compare the key: ssh {destination}"
    if "Could not resolve" in message:
        return "is the name right? A Host of ~/.ssh/config works, too"
    return f"`ssh -v {destination}` shows where it fails"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["ssh failed without a word"])[-1]


def _run(
    command: list[str], timeout_s: float = COMMAND_TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=timeout_s,
    )
