"""What shells on this machine get to see: the environment of whoever called `up`, sorted out.

A kernel knows where the GPU's libraries are, a fresh login does not. What belongs to one process,
one terminal or one login is left out, and so is what looks like a secret. Pure: it reads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from towline.core.secrecy import looks_secret

SIZE_MAX = 64 << 10  # Bytes of all of it: a line of sshd's configuration, and of every command.

# The account's own come from the login itself; HOME passes only where it is not the account's.
_OF_THE_LOGIN = frozenset({"USER", "LOGNAME", "SHELL", "MAIL"})
_OF_A_PROCESS = re.compile(
    r"_|SHLVL|PWD|OLDPWD|TERM|TERM_.*|COLORTERM|COLUMNS|LINES|HOSTNAME|MPLBACKEND|PAGER|GIT_PAGER"
    r"|JPY_.*|JUPYTER_SERVER_.*|KERNEL_.*|IPYTHON_.*|PYDEVD_.*|CLICOLOR.*|FORCE_COLOR|NO_COLOR"
    r"|SSH_.*|SUDO_.*|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|DBUS_.*|XDG_(?:SESSION|SEAT|VTNR).*"
    r"|XDG_RUNTIME_DIR|TMUX.*|STY|WINDOW|INVOCATION_ID|JOURNAL_STREAM|NOTIFY_SOCKET|LISTEN_.*"
    r"|PS[0-4]|PROMPT_COMMAND|BASH_.*|VIRTUAL_ENV_PROMPT|PYTEST_.*|COV_CORE_.*"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def passed_on(environment: Mapping[str, str], account_home: str) -> dict[str, str]:
    """Return what every shell on this machine is to have, in the order of the names."""
    kept: dict[str, str] = {}
    size = 0
    for name, value in sorted(environment.items()):
        if not _may_pass(name, value) or (name == "HOME" and value == account_home):
            continue
        size += len(name) + len(value.encode("utf-8", "surrogateescape")) + 2
        if size <= SIZE_MAX:
            kept[name] = value
    return kept


def _may_pass(name: str, value: str) -> bool:
    return (
        _NAME.fullmatch(name) is not None
        and name not in _OF_THE_LOGIN
        and _OF_A_PROCESS.fullmatch(name) is None
        and not looks_secret(name)
        and "\n" not in value  # sshd's configuration has one line for each setting.
        and "\r" not in value
        and "\0" not in value
    )
