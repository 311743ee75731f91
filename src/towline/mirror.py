"""A project's copy on a server of the person's own, which the machine keeps and fills by itself.

Here it is only said where that is: what the laptop knows of the server (`ssh -G`, its host keys)
goes to the machine over the Line, and a key is lent. The bytes never come this way. The machine's
half is `agent/outward.py`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from towline.across import Call, Program, lines_of, object_in
from towline.agent.courier import CALL_MAX
from towline.config import Keep, Options
from towline.errors import ExitCode, UserError
from towline.places import Binding
from towline.snapshots.server import Server
from towline.there import There

KEY_MAX = 64 << 10  # Bytes of a private key.
LENT = "TOWLINE "  # Stands before the socket of the agent that is lent.
ASK_S = 20.0  # For ssh to read its configuration.

Json = dict[str, Any]


def server_of(keep: Keep) -> Server:
    if keep.mirror is None:
        raise UserError(
            "this project has no server of its own: keep.mirror is not set",
            'write `[tool.towline.keep]` and `mirror = "me@server:folder"` into pyproject.toml',
            ExitCode.CONFIG,
        )
    return keep.mirror


def carried(binding: Binding, there: There, options: Options, **more: object) -> Iterator[Json]:
    """Have the machine carry between its folder and the server; yield what it tells.

    `more` is of `agent.courier.Call`. Raises UserError if it fails, once it has told why.
    """
    call = {**call_for(options, there), **more}
    line = json.dumps(call).encode() + b"\n"
    if len(line) > CALL_MAX:
        raise UserError("too many paths at once", "name a folder", ExitCode.USAGE)
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        if not call["key"]:
            environment["SSH_AUTH_SOCK"] = stack.enter_context(lent_agent(there))
        program = Call(["carry", binding.id], env=environment, agent=True)
        yield from told_by(stack.enter_context(Program(binding, program)), line)


def stopped(binding: Binding) -> Json:
    """End what goes on there by itself."""
    with Program(binding, Call(["carry-stop", binding.id], agent=True)) as program:
        told = list(told_by(program, b""))
    return told[-1] if told else {}


def told_by(program: Program, line: bytes) -> Iterator[Json]:
    """Yield what a program of the bundle tells, given its call. Raises UserError at its failure."""
    program.write(line)
    rest, last, stderr = b"", dict[str, Any](), bytearray()
    for kind, content in program.records():
        if kind == "e":
            stderr = (stderr + content)[-1000:]
            continue
        whole, rest = lines_of(rest, content)
        for each in whole:
            last = object_in(each)
            yield last
    if program.code:
        reason = str(last.get("error") or stderr.decode("utf-8", "replace").strip())
        raise UserError(
            f"the machine cannot carry it: {reason or program.code}", exit_code=ExitCode.UNAVAILABLE
        )


def call_for(options: Options, there: There) -> Json:
    """Return what the machine must know: where, who that is, and a key if one is configured."""
    server = server_of(options.keep)
    key = options.keep.mirror_key
    return {
        **way_to(server.host, options.ssh.config),
        "root": there.folder,
        "folder": server.folder,
        "key": key_text(key) if key else "",
        "paths": list(options.keep.watched),
    }


def way_to(host: str, config: str | None, port: int | None = None) -> Json:
    """Return how the machine gets to a host that the laptop knows by name. Raises UserError."""
    facts = ssh_facts(host, config)
    if port is not None:
        facts["port"] = str(port)
    return {
        "address": facts["hostname"],
        "port": int(facts.get("port", "22")),
        "user": facts["user"],
        "host_keys": host_keys(facts, host),
    }


def ssh_facts(host: str, config: str | None) -> dict[str, str]:
    """Return what the person's ssh configuration says about a host. Raises UserError."""
    given = ["-F", config] if config else []
    done = subprocess.run(
        [os.environ.get("TOWLINE_SSH") or "ssh", "-G", *given, host],
        capture_output=True,
        text=True,
        timeout=ASK_S,
        check=False,
    )
    facts = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    if done.returncode or not {"hostname", "user"} <= facts.keys():
        raise UserError(f"ssh does not know {host}: {done.stderr.strip()}", "", ExitCode.CONFIG)
    for way in ("proxyjump", "proxycommand"):
        if facts.get(way, "none") != "none":
            raise UserError(
                f"{host} is reached by a {way} that the machine does not have",
                "give the server's own address: the machine must reach it by itself",
                ExitCode.CONFIG,
            )
    return facts


def host_keys(facts: Mapping[str, str], host: str) -> list[str]:
    """Return the server's host keys, as the laptop knows them: the machine believes no others."""
    port = facts.get("port", "22")
    address = facts["hostname"]
    name = facts.get("hostkeyalias") or (address if port == "22" else f"[{address}]:{port}")
    files = [
        Path(file).expanduser()
        for kind in ("userknownhostsfile", "globalknownhostsfile")
        for file in shlex.split(facts.get(kind, ""))
    ]
    keys = dict.fromkeys(key for file in files for key in _keys_in(file, name))
    if not keys:
        raise UserError(
            f"the laptop does not know the host key of {host}",
            f"`ssh {host}` once, and compare it; the machine is to believe no other",
            ExitCode.REFUSED,
        )
    return list(keys)


_ENTRY = re.compile(r"[^#@\s]\S* (?P<key>\S+ [A-Za-z0-9+/=]+)")


def _keys_in(file: Path, name: str) -> Iterator[str]:
    if not file.is_file():
        return
    done = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", str(file)], capture_output=True, text=True, check=False
    )
    for line in done.stdout.splitlines():
        if entry := _ENTRY.match(line):
            yield entry["key"]


def key_text(path: str) -> str:
    """Return a private key. Raises UserError if it is none."""
    file = Path(path).expanduser()
    try:
        text = file.read_text()[:KEY_MAX]
    except (OSError, ValueError) as error:
        raise UserError(f"the key {file} cannot be read: {error}", "", ExitCode.CONFIG) from None
    if "PRIVATE KEY" not in text:
        raise UserError(f"{file} is no private key", "name it without .pub", ExitCode.CONFIG)
    return text


@contextmanager
def lent_agent(there: There) -> Generator[str]:
    """Forward this laptop's SSH agent for as long as the context lasts; yield its socket there."""
    ours = os.environ.get("SSH_AUTH_SOCK", "")
    if not ours or sys.platform == "win32":
        raise UserError(
            "there is no SSH agent on this laptop to lend to the machine",
            "start one and `ssh-add` a key, or name a restricted one as keep.mirror_key",
            ExitCode.UNAVAILABLE,
        )
    # It is lent, also where the way to the machine itself is to use no agent.
    flags = ("-T", "-o", f"ForwardAgent={ours}", "-o", f"IdentityAgent={ours}")
    command = f'echo "{LENT}$SSH_AUTH_SOCK"; exec cat'
    argv = there.options.running(there.host, command, flags=flags)
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as ssh:
        assert ssh.stdout
        try:
            # What comes before is of files that run at each login.
            lent = next((line for line in ssh.stdout if line.startswith(LENT.encode())), b"")
            place = lent.decode().strip().removeprefix(LENT)
            if not place.startswith("/"):
                raise UserError(
                    "the machine takes no forwarded SSH agent",
                    "name a restricted key as keep.mirror_key instead",
                    ExitCode.REFUSED,
                )
            yield place
        finally:
            ssh.terminate()
