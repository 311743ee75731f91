"""Begin a job: once for each key, however often it is asked for.

Who asked may be cut off before the answer: it asks again with the same key, and is told of the job
that runs already. The supervisor is forked from here, and started before the answer is given.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import time
from contextlib import suppress

from towline.agent.jobs.hold import hold
from towline.agent.jobs.record import Request
from towline.agent.jobs.shelf import Job, Shelf
from towline.agent.jobs.supervise import supervise
from towline.agent.lifetime import boot_id


def begin(workspace: str, asked: Request) -> Job:
    """Return the job, which runs or has ended already. Raises HoldError, OSError."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # What is begun is brought to its end.
    shelf = Shelf(workspace)
    with shelf.locked():
        known = shelf.with_key(asked.key)
        if known is not None and (known.running or known.ended or known.is_supervised()):
            return known
        shelf.clear()
        job = known or _take_up(shelf, workspace, asked)
        _start_supervisor(job)
    return job


def _take_up(shelf: Shelf, workspace: str, asked: Request) -> Job:
    request = dataclasses.replace(
        asked,
        cwd=os.path.realpath(os.path.expanduser(asked.cwd)),
        created=time.time(),
        host=os.uname().nodename,
        boot=boot_id(),
    )
    if not os.path.isdir(request.cwd):
        raise NotADirectoryError(f"{request.cwd} is not there")
    stage = shelf.stage()
    try:
        if request.hold:
            hold(workspace, request, stage)
        return shelf.take_up(stage, request)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise


def _start_supervisor(job: Job) -> None:
    """Return once the command runs, or could not be started."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        supervise(job, writable)
    os.close(writable)
    os.waitpid(child, 0)
    with suppress(OSError):
        os.read(readable, 1)  # Nothing is written: it is closed when it runs.
    os.close(readable)
