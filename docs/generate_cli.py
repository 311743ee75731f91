"""Write docs/cli.md from the commands and docs/json.md from the dataclasses.

`python docs/generate_cli.py` writes them, `--check` says whether they are current.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from towline.cli.main import towline
from towline.engine import events
from towline.errors import ExitCode

DOCS = Path(__file__).parent

CLI_INTRODUCTION = """\
# Commands

This page is made from the commands by `docs/generate_cli.py`; `towline COMMAND --help` says the
same. Data goes to standard output, progress and messages to standard error, so that a pipe gets
data only. With `--json` a command prints one JSON object a line ([json.md](json.md)).

A command finds its workspace by the project that the current directory is in, or by `--project`
or `--name`; those of jobs by `--workspace`, for a name is a job's there. `towline -h` lists the
commands, `towline --version` prints the version alone.
"""

JOBS_END = "`run`, `attach` and `wait` exit as the job did; `ssh` and `cp` as `ssh` and `scp` do.\n"

COMPLETION = """\
## Shell completion

| shell | line | file |
| --- | --- | --- |
| bash | `eval "$(_TOWLINE_COMPLETE=bash_source towline)"` | `~/.bashrc` |
| zsh | `eval "$(_TOWLINE_COMPLETE=zsh_source towline)"` | `~/.zshrc` |
| fish | `_TOWLINE_COMPLETE=fish_source towline \\| source` | `~/.config/fish/config.fish` |
"""

JSON_INTRODUCTION = """\
# JSON

This page is made from the dataclasses of `towline.engine.events` by `docs/generate_cli.py`. Keys
are never renamed or removed within a major version; new ones may come, so ignore what you do not
know. Times are Unix times in seconds, sizes bytes of content.

`towline link --json` prints one event a line on standard output, each flushed. `towline log --json`
prints the same with `at`, when it happened. A command that fails prints on standard output

```json
{"event": "error", "message": "…", "hint": "…", "exit_code": 69}
```
"""


def cli_page() -> str:
    parts = [CLI_INTRODUCTION, _exit_codes(), COMPLETION]
    root = click.Context(towline, info_name="towline")
    for name in towline.list_commands(root):
        command = towline.get_command(root, name)
        if command is not None:
            parts += _command(command, click.Context(command, info_name=name, parent=root))
    return "\n".join(parts)


def _exit_codes() -> str:
    rows = [f"| {value} | {comment or 'Done.'} |" for _, value, comment in _lines_of(ExitCode)]
    return "\n".join(
        ["## Exit codes", "", "| code | meaning |", "| --- | --- |", *rows, "", JOBS_END]
    )


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    path = context.command_path
    depth = "#" * (len(path.split()))
    yield f"{depth} {path}\n"
    yield f"```\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```\n"
    yield f"{textwrap.dedent(inspect.cleandoc(command.help or ''))}\n"
    options = [
        record
        for option in command.params
        if isinstance(option, click.Option) and (record := option.get_help_record(context))
    ]
    if options:
        yield "| option | |\n| --- | --- |"
        yield "".join(f"| `{_cell(name)}` | {_cell(text)} |\n" for name, text in options)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            if part is not None and not part.hidden:
                yield from _command(part, click.Context(part, info_name=name, parent=context))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def json_page() -> str:
    told = "\n".join(json.dumps(events.as_json(event)) for event in EXAMPLES)
    parts = [JSON_INTRODUCTION, f"## A link, line by line\n\n```json\n{told}\n```\n", "## Events\n"]
    for kind, name in events.EVENT_NAMES.items():
        parts.append(f"### {name}\n")
        parts += _fields(kind, [("event", "text", f'`"{name}"`')])
    parts.append("## Status\n\n`towline status --json` prints one.\n")
    parts += _fields(events.Status, [])
    states = ", ".join(f'`"{state.value}"`' for state in events.State)
    parts.append(f"`state` is one of {states}.\n")
    for kind, name in ((events.Progress, "progress"), (events.LeftOut, "left_out")):
        parts.append(f"### {name}\n")
        parts += _fields(kind, [])
    parts.append(OTHERS)
    return "\n".join(parts)


EXAMPLES: tuple[events.Event, ...] = (
    events.Ready(1, 83, 492_000, 0.067, True, "/home/ana/vision"),
    events.Revision(2, 1, 3.41, ("train.py",)),
    events.Disconnected("the connection was cut"),
    events.Resumed(12.4, False),
    events.ConflictKept("notes.txt", "notes.conflict-gpu-box-20261121T032830.txt", "machine"),
    events.Received(1, ("notes.conflict-gpu-box-20261121T032830.txt",)),
    events.Stopped("asked to"),
)


OTHERS = """\
## Other commands

| command | prints |
| --- | --- |
| `flush` | `revision`, `ms` |
| `stop`, `links stop` | `workspace`, `was_running` |
| `conflicts` | one object each: `path`, `copy`, `side` |
| `problems` | one object each: `path`, `reason`, `side` |
| `explain` | one object for each path: `path`, `synced`, `reason`; `source`, `line`, `pattern` |
| `run`, `wait`, `cancel` | the job: `job` (its number), `name`, `key`, `state`, `reason`, `argv`, \
`folder`, `started`, `age_s`, `ran_s`, `code` (null while it runs), `revision`, `tty`, `held`, \
`log_size`, `dropped` (bytes of output that are not in the log), `left` (paths in its held copy), \
`directory`. `run` prints it when the job has begun; its output follows on standard output |
| `jobs` | one job each, with `resumes`; a running one also `processes`, `cpu_s`, `cpu_percent`, \
`memory`, `gpu_memory` |
| `top` | one object each interval: `at`, `cpu` (`percent`, `count`, `load`), `memory` and `disk` \
(`used`, `total`; the disk also `read_s`, `written_s`), `network` (`received_s`, `sent_s`), `gpus` \
(one each: `index`, `name`, `percent`, `memory_used`, `memory_total`, `temperature_c`, `power_w`), \
`jobs` (those that run), `deadline` (null, or `at`, `why` and `left_s`), `sync` (as `status`). \
What the machine does not tell is null |
| `links list` | one object each: `name`, `state`, `running`, `pid`, `last_state`, `project`, \
`there`, `at_login`, `id` |
| `links start` | the events of each, up to live, as `link` has them |
| `links forget` | `workspace`, `forgotten` |
| `accept`, `refuse` | an empty object, or an error if nothing is held |
| `show` | one object for each path: `path`, `change` (`added`, `changed`, `removed`), `revision`; \
unless it is removed `kind` (`file`, `program`, `link`, `directory`), `size`, `at`. With a PATH: \
`path`, `revision` (the one that changed it last), `kind`, `content` (text), `at`, `time` |
| `diff` | one object for each path: `path`, `change`, `diff` |
| `snapshot now` | while it runs `event` (`progress`), `part` (0 to 1), `files`, `size`; at the \
end `event` (`snapshot`), `snapshot` (the beginning of its id; empty if none was needed), \
`files_new`, `files_changed`, `dirs_changed`, `files`, `size_added`, `size`, `seconds`, \
`unreadable` |
| `snapshots` | one object each: `snapshot`, `at`, `host`. Of a SNAPSHOT: `path`, `kind` (`file`, \
`dir`, `symlink`), `size`, `mode`, `mtime`. With `--diff`: `path`, `change` (`added`, `removed`, \
`changed`, `other`) |
| `restore` | `progress` as above; at the end `event` (`restored`), `snapshot`, `placed`, `same` \
(counts of files), `kept` (path: the name of what stood there), `failed` (path: reason) |
| `mirror`, `snapshot there` | `running` (a process there) and, if it was started just now, \
`detached`; with `--stop`: `stopped` (a process, or 0). `mirror` without a key of its own: `sent` \
(paths), `all`, `at` for each time, or `error` and `behind` |
| `seed` | `says` (rsync's words) for each line, and `done` |
| `git setup` | `folder`, `head`, `branch`, `new`, `depth` (null: all), `not_synced` (paths), \
`differences` (path: what `git status` says here and there) |
| `git status`, `git fetch` | `here` and `there` (`head`, `branch`), `relation` (`same`, \
`not fetched`, `here`, `there`, `both`: who has commits that the other lacks), \
`only_here` and `only_there` (commits), `staged_there`, `ref` |
| `env show`, `env capture` | what [towline.lock](guide-next-machine.md#what-you-installed) lists, \
by its tables' names. `env capture` also `file`, `written` (whether the file changed), `left` \
(what was left out: why) |
| `env diff` | one object for each difference: `name`, `how` |
| `env restore` | `restored` (a sentence), `left` (texts) |
| `jupyter`, `code` | `running`; if it does `url`, `port`, `was_running`, and `token` or `password`\
. With `--public` `public_url` in place of the last. `stop`: `was_running` |
| `up` | `ticket`, `name`, `expires` and `until` (or null), `server` (`sshd`, `embedded`), \
`routes` (one each: `route`, `address`) |
| `down` | `was_up` |
| `enrol` | `name`, `machine` (its id), `user` |
| `demo` | one object for each step: `step`, `ms`, `ok`, `detail`; at the end `done`, `steps`, \
`seconds` |
| `forward` | one object for each: `direction` (`local`, `socks`, `reverse`), \
`listen`, `target`, `open`, `failure`; one that was opened also `taken` (why it is not at the port \
of its target, or empty) |
| `ports` | one object for each port: `port`, `addresses`, `program`, `pid`, `listen` (where it is \
forwarded to, or null), `command` |
| `config` | one object for each option: `key`, `value`, `origin` |
| `doctor` | one object for each check: `name`, `verdict` (`ok`, `warn`, `fail`), `finding`, \
`to_do` |
| `routes` | one object for each route: `route`, `usable`, `why_not`, `configured`, `needs`, \
`limits`, `cost`, `carries` (`tcp`, `http`), `laptop`, `settings` (`key`, `variable`, `help`, \
`secret`, `set`) |
| `service install`, `service remove` | `file`, `content`, `install`, `remove` (commands) |
| `service status` | one object each: `workspace`, `file` |
| `version` | `towline`, `python`, `system`, `program` |
"""


def _fields(kind: type, first: list[tuple[str, str, str]]) -> Iterator[str]:
    doc = inspect.cleandoc(kind.__doc__ or "")
    if not doc.startswith(f"{kind.__name__}("):  # What dataclasses makes up says nothing.
        yield f"{doc}\n"
    yield "| key | type | |\n| --- | --- | --- |"
    rows = [*first, *((name, _json_type(kind_), note) for name, kind_, note in _lines_of(kind))]
    yield "".join(f"| `{name}` | {type_} | {_cell(note)} |\n" for name, type_, note in rows)


FIELD = re.compile(r"^ {4}(\w+)(?:: ([^=#]+?))?(?: = (.+?))?(?:  # (.*))?$")


def _lines_of(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, type (an enumeration's value) and comment of what a class declares."""
    for line in inspect.getsource(kind).splitlines():
        match = FIELD.match(line)
        if match and (match[2] or match[3]) and not line.lstrip().startswith(('"', "def ")):
            yield match[1], match[2] or match[3], match[4] or ""


def _json_type(annotation: str) -> str:
    names = {"str": "text", "int": "number", "float": "number", "bool": "true or false"}
    types = [part.strip() for part in annotation.split("|")]
    return " or ".join(
        "null" if part == "None"
        else f"list of {'texts' if 'str' in part else 'objects'}" if part.startswith("tuple[")
        else names.get(part, "text" if part == "State" else "object")
        for part in types
    )  # fmt: skip


PAGES: dict[str, Callable[[], str]] = {"cli.md": cli_page, "json.md": json_page}


def main(arguments: list[str]) -> int:
    stale = [name for name, make in PAGES.items() if _current(name) != make()]
    if "--check" in arguments:
        for name in stale:
            sys.stderr.write(f"docs/{name} is not current: run python docs/generate_cli.py\n")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name](), "utf-8")
    return 0


def _current(name: str) -> str:
    try:
        return (DOCS / name).read_text("utf-8")
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
