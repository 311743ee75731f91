"""Files between a folder on this machine and a server of the person's own, by rsync over ssh.

The machine goes there by itself: the laptop only says where, with the server's host key, and lends
a key that stays in memory (its own agent, forwarded, or one that runs here and is handed the key by
a pipe). What is written here is public. When something is to be carried, `outward` decides.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

from towline.agent.place import ensure_place
from towline.core.default import DEFAULTS
from towline.core.path import OWN_DIRECTORY

HOST = "towline-server"  # The one Host of the configuration that ssh is given.
CALL_MAX = 256 << 10  # Bytes of the line that says what to do.
AGENT_START_S = 15.0
NO_AGENT = 2  # The exit code of ssh-add where none answers.
PARTIAL = ".towline-partial"
REPLACED = ".towline-replaced"  # On the server: what stood there before a life of ours began.

CONFIG = """\
Host {host}
    HostName {address}
    Port {port}
    User {user}
    HostKeyAlias {host}
    UserKnownHostsFile "{directory}/known_hosts"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    IdentityFile none
    BatchMode yes
    ForwardAgent no
    ConnectTimeout 20
    ServerAliveInterval 15
    ServerAliveCountMax 4
"""

# What is never worth carrying, as rsync's patterns: those of sync's defaults that mean the same.
SKIPPED = (
    f"/{OWN_DIRECTORY}",
    ".towline-*",
    ".git",
    *(pattern for pattern, _ in DEFAULTS if not pattern.startswith(("!", "4913"))),
)

_PARTLY = (23, 24)  # rsync's exit codes for all but some files.
# What is usual while they live: who sends could not read one, or it went away meanwhile; or its
# content arrived and its mode did not. Before 3.2 rsync did not say which end speaks.
_USUAL = re.compile(
    r"rsync: (\[sender\] |(\[\w+\] )?failed to set |send_files |link_stat |opendir |read)"
)
_TROUBLE = re.compile(r"rsync: |ERROR: |could not make way ")


class CourierError(Exception):
    """It cannot be done; the message is for the person."""


@dataclass(frozen=True)
class Call:
    """What the laptop asks for. `key` is a private key, empty where its agent is forwarded."""

    root: str
    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]  # `TYPE BASE64` each.
    folder: str
    key: str = ""
    paths: tuple[str, ...] = ()  # Relative to the root; none means all of it.
    inward: bool = False
    update: bool = False  # Inward: replace what is older here, and keep it beside.
    detach: bool = False


def read_call(line: bytes) -> Call:
    """Raises CourierError for what is no call."""
    try:
        plain: dict[str, Any] = json.loads(line[:CALL_MAX])
        for name in ("host_keys", "paths"):
            plain[name] = tuple(cast("list[str]", plain.get(name, ())))
        return Call(**plain)
    except (ValueError, TypeError, AttributeError) as error:
        raise CourierError(f"the call is not understood: {error}") from None


class Courier:
    """The way to the server, for as long as `open_courier` lasts."""

    def __init__(self, call: Call, config: str, environment: dict[str, str]) -> None:
        self.root = os.path.expanduser(call.root)
        self._call = call
        self._shell = f"ssh -F '{config}'"
        self._environment = environment
        self._life = time.strftime("%Y%m%dT%H%M%S", time.gmtime())

    def send_all(self) -> None:
        """Send what differs. What it replaces there is kept, for that may be newer work."""
        paths = [f"{self.root}/./{path.strip('/')}" for path in self._call.paths]
        if missing := [path for path in paths if not os.path.lexists(path)]:
            paths = [path for path in paths if path not in missing]
            if not paths:
                return
        whole = ["--relative", *paths] if paths else [f"{self.root}/"]
        self._rsync(*self._keeping(), *whole, self._there())

    def send(self, paths: Iterable[str], *, keeping: bool) -> None:
        """Send paths, with what is below; `keeping` what they replace there.

        They did change, whatever their times say: rsync compares those by the second.
        """
        listed = "\0".join(sorted(paths))
        self._rsync(
            *(self._keeping() if keeping else ()),
            *("--ignore-times", "--ignore-missing-args", "--from0", "--files-from=-"),
            *(f"{self.root}/", self._there()),
            given=os.fsencode(listed),
        )

    def fetch(self) -> Iterator[str]:
        """Bring what is not here yet; yield rsync's words on how far it is."""
        os.makedirs(self.root, exist_ok=True)
        newer = ["--update", "--backup", f"--suffix=.conflict-before-seed-{self._life}"]
        how = newer if self._call.update else ["--ignore-existing"]
        only = ["--from0", "--files-from=-"] if self._call.paths else []
        argv = [*self._argv(), *how, *only, "--info=progress2", "--no-inc-recursive", "--stats"]
        listed = "\0".join(path.strip("/") for path in self._call.paths)
        yield from self._talking([*argv, self._there(), f"{self.root}/"], os.fsencode(listed))

    def _there(self) -> str:
        return f"{HOST}:{self._call.folder}/"

    def _keeping(self) -> tuple[str, str]:
        return "--backup", f"--backup-dir={REPLACED}/{self._life}"

    def _argv(self) -> list[str]:
        skipped = [f"--exclude={pattern}" for pattern in SKIPPED]
        flags = ["-rlpt", f"--partial-dir={PARTIAL}", "--timeout=60"]
        return ["rsync", *flags, "-e", self._shell, *skipped]

    def _rsync(self, *arguments: str, given: bytes = b"") -> None:
        try:
            done = subprocess.run(
                [*self._argv(), *arguments],
                input=given,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self._environment,
                check=False,
            )
        except OSError as error:  # No more processes, no more memory: both pass.
            raise CourierError(f"rsync: {error.strerror or error}") from None
        _check(done.returncode, done.stderr)

    def _talking(self, argv: Sequence[str], given: bytes) -> Iterator[str]:
        with subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
        ) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            process.stdin.write(given)
            process.stdin.close()
            for line in process.stdout:
                yield from (part for part in line.decode(errors="replace").split("\r") if part)
            said = process.stderr.read()
        _check(process.returncode, said)


def _check(code: int, said: bytes) -> None:
    """Raises CourierError unless all has arrived that could be read."""
    if code not in (0, *_PARTLY):
        raise CourierError(_last_line(said) or f"rsync ended with {code}")
    if code:
        for line in said.decode("utf-8", "replace").splitlines():
            if _TROUBLE.match(line) and not _USUAL.match(line):
                raise CourierError(line.strip()[:300])


@contextmanager
def open_courier(call: Call, workspace: str) -> Generator[Courier, None, None]:
    if shutil.which("rsync") is None:
        raise CourierError("there is no rsync on the machine: install it there")
    with open_way(call, workspace, "server") as (config, environment):
        yield Courier(call, config, environment)


@contextmanager
def open_way(
    call: Call, workspace: str, name: str
) -> Generator[tuple[str, dict[str, str]], None, None]:
    """Prepare a way to a server, of this name: the pinned host key, an agent with the key.

    Yield ssh's configuration file, which knows `HOST`, and the environment to use it in.
    """
    place = ensure_place(workspace)
    directory = f"{place.directory}/{place.name}.{name}"
    os.makedirs(directory, mode=0o700, exist_ok=True)
    config = f"{directory}/ssh_config"
    _write(config, _config(call, directory))
    _write(f"{directory}/known_hosts", "".join(f"{HOST} {key}\n" for key in call.host_keys))
    environment = dict(os.environ)
    if not call.key:
        if not environment.get("SSH_AUTH_SOCK"):
            raise CourierError("no SSH agent was forwarded to the machine")
        yield config, environment
        return
    with _agent(call.key, f"{directory}/agent-{os.getpid()}") as sock:
        yield config, {**environment, "SSH_AUTH_SOCK": sock}


def _config(call: Call, directory: str) -> str:
    values = {"address": call.address, "user": call.user, "directory": directory}
    if any('"' in value or not value.isprintable() for value in values.values()):
        raise CourierError("a name holds what no ssh configuration can")
    return CONFIG.format(host=HOST, port=int(call.port), **values)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def _agent(key: str, sock: str) -> Generator[str, None, None]:
    """Run an ssh-agent that holds the key, which goes there by a pipe: it is on no disk here.

    It lives as long as the `cat` that it starts, and that as long as our end of its pipe: also if
    we are killed, nothing holds the key a few seconds later.
    """
    with suppress(FileNotFoundError):
        os.unlink(sock)
    with subprocess.Popen(
        ["ssh-agent", "-a", sock, "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        _hand_over(key, sock)
        yield sock


def _hand_over(key: str, sock: str) -> None:
    environment = {**os.environ, "SSH_AUTH_SOCK": sock, "SSH_ASKPASS_REQUIRE": "never"}
    ends_at = time.monotonic() + AGENT_START_S
    while True:
        done = subprocess.run(
            ["ssh-add", "-q", "-"],
            input=key.encode(),
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
        if done.returncode != NO_AGENT or time.monotonic() > ends_at:
            break
        time.sleep(0.02)  # It tells nobody when it begins to listen.
    if done.returncode:
        raise CourierError(f"the key cannot be used: {_last_line(done.stderr)}")


def _last_line(text: bytes) -> str:
    """Return the line of stderr that says why: rsync's own last word only names its source."""
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("rsync error:")]
    return (told or lines or [""])[-1].strip()[:300]
