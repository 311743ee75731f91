"""`job …` on the bundle's command line: what the laptop runs on the machine, as programs.

job start WORKSPACE               a request as JSON on standard input; prints the job
job list WORKSPACE [--gpu yes]    a job on each line; NVIDIA's program may take seconds
job log WORKSPACE JOB [--from BYTE | --lines N] [--follow yes] [--typed yes]
job wait WORKSPACE JOB            returns once it is over; prints it
job cancel WORKSPACE JOB [--now yes]

JOB is a number, a key, or a name, which means the latest of that name. What is printed is JSON, an
object a line; of what cannot be done `{"error": …}` on standard error, with exit status 1.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from towline.agent.gpu import memory_by_process
from towline.agent.jobs import orders
from towline.agent.jobs.begin import begin
from towline.agent.jobs.follow import POLL_S, follow, tail_offset, wait
from towline.agent.jobs.hold import HoldError
from towline.agent.jobs.record import LOG, ORDERS, REQUEST_MAX, request_of
from towline.agent.jobs.shelf import NoJobError, Shelf
from towline.agent.jobs.tell import all_summaries, summary

Options = Mapping[str, str]


def job_main(words: Sequence[str]) -> int:
    """Carry out one verb and return the exit status."""
    verb, workspace, *rest = [*words, "", ""][: max(2, len(words))]
    named = rest.pop(0) if rest and not rest[0].startswith("--") else ""
    options = {
        name.removeprefix("--"): value for name, value in zip(rest[::2], rest[1::2], strict=False)
    }
    carry_out = _VERBS.get(verb)
    if carry_out is None:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    try:
        carry_out(workspace, named, options)
    except (NoJobError, HoldError, ValueError, TypeError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'job'}: {error.strerror or error}")
    return 0


def _start(workspace: str, named: str, options: Options) -> None:
    request = request_of(json.loads(sys.stdin.buffer.read(REQUEST_MAX)))
    _print(summary(begin(workspace, request)))


def _list(workspace: str, named: str, options: Options) -> None:
    told = all_summaries(Shelf(workspace))
    asked = "gpu" in options and any(job.get("pids") for job in told)
    on_gpus = memory_by_process() if asked else {}
    for job in told:
        pids = job.pop("pids", None)
        if pids is not None:
            job["gpu_memory"] = sum(on_gpus.get(pid, 0) for pid in pids)
        _print(job)


def _log(workspace: str, named: str, options: Options) -> None:
    job = Shelf(workspace).find(named)
    offset = int(options.get("from", "0"))
    if "lines" in options:
        offset = tail_offset(job.file(LOG), int(options["lines"]))
        print(json.dumps({"begins": offset}), file=sys.stderr, flush=True)  # noqa: T201
    follow(job, offset, until_end="follow" in options, typed="typed" in options)


def _wait(workspace: str, named: str, options: Options) -> None:
    wait(Shelf(workspace).find(named))


def _cancel(workspace: str, named: str, options: Options) -> None:
    job = Shelf(workspace).find(named)
    while job.state()[0] == "running":
        # It may not listen yet, or end just now.
        with suppress(orders.NobodyError):
            told = orders.order(orders.CANCEL) * (2 if "now" in options else 1)
            orders.tell(job.file(ORDERS), told)
            break
        time.sleep(POLL_S)
    _print(summary(job))


_VERBS: Mapping[str, Callable[[str, str, Options], None]] = {
    "start": _start,
    "list": _list,
    "log": _log,
    "wait": _wait,
    "cancel": _cancel,
}


def _print(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


def _fail(reason: str) -> int:
    print(json.dumps({"error": reason}), file=sys.stderr)  # noqa: T201
    return 1
