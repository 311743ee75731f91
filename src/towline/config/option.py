"""The one table of options: what the file, the environment and the pages about them come from."""

from __future__ import annotations

from dataclasses import dataclass

from towline.config.kinds import (
    ARGUMENT,
    BANDWIDTH,
    COMPRESSION,
    DEBOUNCE,
    DIRECTION,
    DIRECTIONS,
    FLAG,
    INTERVAL,
    LIVES,
    LOCATION,
    PAIRS,
    PASSWORD,
    PATTERNS,
    PORT,
    RETENTION,
    ROUTE_SETTINGS,
    ROUTES,
    SERVER,
    SETTLE,
    SIZE,
    SOME_PATTERNS,
    TEXT,
    TEXTS,
    Kind,
)
from towline.core.checkpoint import MARKS, SETTLE_S
from towline.core.checkpoint import PATTERNS as PATTERNS_OF_CHECKPOINTS
from towline.snapshots.password import USUAL


@dataclass(frozen=True, slots=True)
class Option:
    """`key` is dotted as in the file; `default` a TOML value, None for none."""

    key: str
    kind: Kind
    default: object
    help: str
    has_variable: bool = True

    @property
    def variable(self) -> str | None:
        """The environment variable that sets it, if one does."""
        name = "TOWLINE_" + self.key.upper().replace(".", "_")
        return name if self.has_variable else None


OPTIONS: tuple[Option, ...] = (
    Option(
        "machine", ARGUMENT, None,
        "Where to link to if the command names nothing: `user@host` or a `Host` of the ssh config.",
    ),
    Option("path", TEXT, None, "The folder on the machine. Without it: `~/` and the name."),
    Option("name", TEXT, None, "What the workspace is called. Without it: the folder's name."),
    Option(
        "sync", PAIRS, [],
        "Several folders instead of the whole project: `{source, destination}` each, with "
        "`direction` if it differs. `source` is relative to the project, `destination` to `path`.",
        has_variable=False,
    ),
    Option(
        "direction", DIRECTION, "both",
        "Whose changes count: both sides', only the laptop's (`push`), only the machine's "
        "(`pull`). A conflict's copies always travel both ways.",
    ),
    Option(
        "directions", DIRECTIONS, {},
        "Lists `push`, `pull` and `both` of patterns as in `.gitignore`, for paths that have a "
        "direction of their own. The last pattern that matches decides, in the order written.",
        has_variable=False,
    ),
    Option(
        "ignore", PATTERNS, [],
        "Patterns as in `.gitignore` of what is not synced, beside the `.gitignore` files and "
        "above them. `.towlineignore` files are above these. In the variable: one on a line.",
    ),
    Option(
        "size_max", SIZE, "100 MB",
        'Larger files are left out, and reported. `""` is no limit; a number is in bytes.',
    ),
    Option(
        "compression", COMPRESSION, "auto",
        "`auto`: unless the link is faster than the compressor.",
    ),
    Option(
        "debounce", DEBOUNCE, "0.2 ms",
        "How long to wait after a change for others that belong to it.",
    ),
    Option(
        "bandwidth", BANDWIDTH, "",
        'The most that sync may use, such as `"10 Mbit/s"`. `""` is no limit.',
    ),
    Option(
        "checkpoints.patterns", SOME_PATTERNS, list(PATTERNS_OF_CHECKPOINTS),
        "Patterns of checkpoints: they come from the machine once they are settled, the newest "
        "first. In the variable: one on a line.",
    ),
    Option(
        "checkpoints.marks", SOME_PATTERNS, list(MARKS),
        "Patterns of what names a checkpoint, and comes after it. In the variable: one on a line.",
    ),
    Option(
        "checkpoints.settle", SETTLE, f"{SETTLE_S:g} s",
        "How long a checkpoint that was not closed must be left alone to be settled.",
    ),
    Option(
        "checkpoints.size_max", SIZE, None,
        'The `size_max` of checkpoints, if it is another one. `""` is no limit.',
    ),
    Option(
        "lives", LIVES, "",
        'How long the machine lives, from its start, such as `"12 h"`: for a countdown. `""` is '
        "what the machine itself knows of it.",
    ),
    Option("python", ARGUMENT, None, "The interpreter on the machine. Without it: the best found."),
    Option(
        "environment.capture", FLAG, True,
        "Whether what you install on the machine is written into `towline.lock`.",
    ),
    Option(
        "environment.restore", FLAG, True,
        "Whether a new machine is given what `towline.lock` lists, your repository and the rest "
        "without being asked.",
    ),
    Option(
        "environment.python", ARGUMENT, None,
        "The Python on the machine whose packages count; relative to the project. Without it: a "
        "running kernel's, else `python3` of a login.",
    ),
    Option(
        "environment.variables", TEXTS, [],
        "Variables that go into `towline.lock`. In the variable: one on a line.",
    ),
    Option(
        "environment.dotfiles", TEXTS, [],
        'Files of the home folder there that go into `towline.lock`, such as `".vimrc"`. In the '
        "variable: one on a line.",
    ),
    Option(
        "routes", ROUTES, [],
        "On a machine, for `towline up`: the ways in to keep open, such as "
        '`["cloudflared", "bore"]`. Without it: `auto`, the first that works. In the variable: '
        "with commas.",
    ),
    Option(
        "keys", TEXTS, [],
        "On a machine, for `towline up`: public keys of laptops, files of them, `github:USER`, or "
        "names of secrets that hold one. In the variable: one on a line.",
    ),
    Option(
        "route", ROUTE_SETTINGS, {},
        'On a machine, for `towline up`: a table of settings for each route, such as '
        '`route.ssh.server = "me@relay"`. [routes.md](routes.md#the-table) lists them, with the '
        "variables that count more. Secrets are better kept in a variable than in a file.",
        has_variable=False,
    ),
    Option("ssh.config", TEXT, None, "A configuration file for ssh (`-F`)."),
    Option("ssh.port", PORT, None, "The port (`-p`)."),
    Option("ssh.identity", TEXT, None, "The file of the private key (`-i`)."),
    Option("ssh.jump", ARGUMENT, None, "The host to go through (`-J`)."),
    Option(
        "ssh.options", TEXTS, [],
        'Further options (`-o`), such as `"ServerAliveInterval=5"`. In the variable: one on a '
        "line.",
    ),
    Option(
        "notebook.autoload", FLAG, False,
        "Load the extension in each kernel of `towline jupyter`, as its first cell would.",
    ),
    Option(
        "jupyter.program", ARGUMENT, None,
        "The `jupyter-lab` to start on the machine. Without it: the environment's, or one of ours.",
    ),
    Option(
        "code.program", ARGUMENT, None,
        "The `code-server` to start on the machine. Without it: one that is there, or one of ours.",
    ),
    Option(
        "code.extensions", TEXTS, [],
        'Extensions of code-server: names such as `"ms-python.python"`, or `.vsix` files on the '
        "machine. In the variable: one on a line.",
    ),
    Option(
        "code.download", ARGUMENT, None,
        "Where to fetch the release of code-server if it is not there: an https URL, or a file on "
        "the machine, of its `.tar.gz`. Without it: by npm.",
    ),
    Option(
        "code.sha256", ARGUMENT, None,
        "What the fetched release must be: its SHA-256 in hexadecimal.",
    ),
    Option(
        "keep.to", LOCATION, None,
        "The restic repository that snapshots go to: a folder, `sftp:me@server:/keep`, `s3:…`, "
        "`gs:…`, `rclone:…`. Without it none are made.",
    ),
    Option(
        "keep.password", PASSWORD, USUAL,
        "Where its password comes from: `env:VARIABLE`, `file:PATH` (yours alone), "
        "`command:COMMAND` or `keyring:SERVICE`.",
        has_variable=False,
    ),
    Option(
        "keep.interval", INTERVAL, "5 min",
        "How often a snapshot is made while the engine runs, if anything changed.",
    ),
    Option(
        "keep.retention", RETENTION, {"last": 20, "hourly": 24, "daily": 14, "weekly": 8},
        "How many snapshots are kept: the `last` ones, and one for each hour, day and week.",
        has_variable=False,
    ),
    Option(
        "keep.exclude", PATTERNS, [],
        "Patterns as in `.gitignore` of what snapshots leave out, beside what is not synced "
        "anyway. In the variable: one on a line.",
    ),
    Option(
        "keep.bandwidth", BANDWIDTH, "",
        'The most that a snapshot may use. `""` is no limit.',
    ),
    Option(
        "keep.mirror", SERVER, None,
        "A folder on a server of your own, as `me@server:folder`: the machine sends what changes "
        "in its copy there by itself, and `towline seed` brings it to a new machine.",
    ),
    Option(
        "keep.watched", TEXTS, [],
        "The folders of the project that are sent there. Without it: all that is synced or made "
        "there. In the variable: one on a line.",
    ),
    Option(
        "keep.mirror_key", TEXT, None,
        "A private key on the laptop, restricted on the server, that the machine holds in memory "
        "for it. Without it the laptop's SSH agent is forwarded.",
    ),
)  # fmt: skip

OPTION_OF = {option.key: option for option in OPTIONS}

TABLES = frozenset(key.rpartition(".")[0] for key in OPTION_OF if "." in key)
"""Keys that hold options and are none themselves."""
