"""Open a folder of a project on the laptop: locked, watched, with its rules, ready to be kept live.

What is where comes from the request and the configuration. Nothing here connects to a machine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import anyio

from towline.config import Options, Pair
from towline.core.direction import Direction, Directions
from towline.core.gather import Gather
from towline.core.ignore import Rules, Source, SourceKind
from towline.core.path import join
from towline.core.problem import Problem, ProblemKind
from towline.core.unfinished import unfinished
from towline.disk.extent import exclude_lines
from towline.disk.folder import Folder as DiskFolder
from towline.disk.follow import Follower, News
from towline.disk.incarnation import Incarnation, read_or_create
from towline.disk.lock import LockedError, lock_root
from towline.disk.own import ensure_own_directory
from towline.disk.replica import Replica
from towline.disk.sources import is_rule_file, read_sources
from towline.disk.watch import open_watch
from towline.engine import events
from towline.engine.ancestor import Store
from towline.engine.folder import Folder
from towline.engine.history import History
from towline.engine.live import Live
from towline.engine.local import Local
from towline.engine.push import HOT_SIZE_MAX
from towline.errors import ExitCode, UserError
from towline.places import places_of
from towline.request import LinkRequest
from towline.unasked import Unasked


def pairs_of(request: LinkRequest, options: Options) -> tuple[Pair, ...]:
    """Return which folder lives where; a relative place is below the machine path."""
    machine_path = options.folder_there(request.project, request.machine_path)
    if not options.sync:
        return (Pair("", machine_path),)
    return tuple(
        Pair(pair.source, _place(pair.destination, machine_path), pair.direction)
        for pair in options.sync
    )


def _place(destination: str, machine_path: str) -> str:
    is_whole = destination.startswith(("/", "~"))
    return destination if is_whole else f"{machine_path.rstrip('/')}/{destination}"


def open_folder(
    number: int,
    pair: Pair,
    request: LinkRequest,
    options: Options,
    store: Store,
    stack: ExitStack,
    *,
    history: History | None,
    compress: Callable[[], bool],
    report: Callable[[events.Event], None],
    touched: Callable[[], None],
    heard_at: Callable[[], float],
) -> Live:
    """Return the folder, to be let go of by `stack`. Raises `UserError` if it cannot be opened."""
    root = (request.project / pair.source).resolve()
    directions = _directions(pair, options)
    follower, incarnation = _open_root(root, number, request, options, stack)
    lines = tuple(unfinished(options.checkpoints.patterns))
    partial = Source(SourceKind.CONFIGURATION, "", "checkpoints.patterns", lines)

    rules: Rules | None = None

    async def read_rules() -> Rules:
        nonlocal rules
        try:
            rules = await anyio.to_thread.run_sync(_read_rules, root, partial, options)
        except UserError as error:
            if rules is None:
                raise
            report(events.Note(f"what is left out stays as it was: {error.message}"))
        return rules

    def make_local(absorb: Callable[[News], None]) -> Local:
        return Local(follower, absorb)

    direction_of = _direction_of(pair, directions)
    return Live(
        Folder(
            mirror=number,
            machine_path=pair.destination,
            host=_host(),
            local_life=incarnation.id,
            direction_of=direction_of,
            direction=directions.only,
            compress=compress,
            name=request.name,
            bandwidth=options.bandwidth,
            checkpoints=options.checkpoints,
            lives_s=round(options.lives_s or 0),
            guard=Unasked(
                request.project,
                root,
                lambda: _read_rules(root, partial, options),
                lambda path: direction_of(path) is not Direction.PULL,
            ),
        ),
        make_local,
        store,
        read_rules=read_rules,
        is_rule_file=is_rule_file,
        report=report,
        touched=touched,
        history=history,
        heard_at=heard_at,
    )


def _read_rules(root: Path, partial: Source, options: Options) -> Rules:
    """Raises UserError: what is left out must not be sent because a file that says so is unfit."""
    problems: list[Problem] = []
    sources = read_sources(root, options.ignore, report=problems.append)
    try:
        for problem in problems:
            if problem.kind is not ProblemKind.NAME:  # Of those, what lies beside is not synced.
                raise ValueError(f"{problem.path}: {problem.detail}")
        return Rules([partial, *sources], options.size_max, options.checkpoints)
    except ValueError as error:
        raise _unfit(root, error) from None


def left_out(root: Path, extra: Sequence[str]) -> list[str]:
    """Return what restic is told to leave out: by the rules of sync, without its limit of size.

    An ignore file that cannot be used leaves nothing out: what is in a snapshot is still one's own.
    Raises UserError.
    """
    try:
        return exclude_lines(root, Rules(read_sources(root, extra)))
    except ValueError as error:
        raise _unfit(root, error) from None


def _unfit(root: Path, error: ValueError) -> UserError:
    return UserError(
        f"what is to be left out of {root} cannot be told: {error}",
        "all of it would be sent: mend the file, or remove it",
        ExitCode.CONFIG,
    )


def _open_root(
    root: Path, number: int, request: LinkRequest, options: Options, stack: ExitStack
) -> tuple[Follower, Incarnation]:
    if not root.is_dir():
        raise UserError(f"{root} is not a folder", exit_code=ExitCode.CONFIG)
    cache_file = places_of(request.workspace_id).state.with_suffix(f".{number}.cache")
    try:
        ensure_own_directory(root)
        stack.callback(os.close, lock_root(root))
        folder = DiskFolder(root)
        incarnation = read_or_create(folder)
        replica = Replica(folder, Rules([]), host=_host(), durable=True, cache_file=cache_file)
        watch = open_watch(root, lambda path: replica.rules.ignores(path, True))
        stack.callback(watch.close)
        stack.callback(_save_cache, replica)
        stack.callback(replica.tidy)
    except LockedError as error:
        raise UserError(
            f"{root} is kept in step by another engine (process {error.owner})",
            "`towline links` lists what runs; `towline stop` ends the one of this project",
            ExitCode.TRY_AGAIN,
        ) from None
    except OSError as error:
        raise UserError(
            f"{root} cannot be watched: {error.strerror}", "`towline doctor` may know why"
        ) from None
    gather = Gather(quiet_lone_s=options.debounce_s)
    follower = Follower(replica, watch, gather, is_watching=False, ahead_size=HOT_SIZE_MAX)
    return follower, incarnation


def _save_cache(replica: Replica) -> None:
    with suppress(OSError):  # A full disk, say: the next engine reads what it would have known.
        replica.save_cache()


def _directions(pair: Pair, options: Options) -> Directions:
    directions = options.directions
    return directions if pair.direction is None else Directions(directions.rules, pair.direction)


def _direction_of(pair: Pair, directions: Directions) -> Callable[[str], Direction]:
    """Return the direction of a path in the folder; patterns are those of the whole project."""
    source = pair.source.strip("/").removeprefix("./")
    return lambda path: directions.of(join(source, path))


def _host() -> str:
    return socket.gethostname().partition(".")[0] or "laptop"
