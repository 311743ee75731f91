"""Stay with a job: its output here, its exit code ours, Ctrl-C leaves it running.

What `towline run` and `towline attach` share. A job with a terminal gets this one, in raw mode:
there Ctrl-C is typed like any other key, and `~.` at the beginning of a line leaves, as in ssh.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from towline import jobs
from towline.cli.output import ReaderGoneError, say
from towline.cli.terminal import lent
from towline.errors import ExitCode, UserError
from towline.jobs.follower import Follower
from towline.places import Binding
from towline.ui.words import count_text, shown

AGAIN_S = 2.0  # Within it a second Ctrl-C cancels.


def attend(binding: Binding, job: jobs.Job, *, lines: int | None = None) -> int:
    """Follow a job from its first byte, or the last lines, and return its exit code.

    130 for who left it with Ctrl-C.
    """
    is_terminal = bool(job.plain.get("tty")) and sys.stdin.isatty()
    follower = Follower(binding, job.key, write_out, lines=lines, note=say, typed=is_terminal)
    try:
        over = _in_terminal(follower) if is_terminal else follower.run()
    except KeyboardInterrupt:
        return _leave(binding, job, may_cancel=not is_terminal)
    return conclude(binding, over)


def conclude(binding: Binding, job: jobs.Job) -> int:
    """Say what an exit code does not, and return it."""
    with suppress(UserError):
        jobs.refresh(binding, [job])
    if job.state in ("cancelled", "lost") or job.reason:
        say(f"job {job.number}: {job.state}" + (f": {shown(job.reason)}" if job.reason else ""))
    if dropped := job.plain.get("dropped"):
        say(f"job {job.number}: {count_text(dropped, 'byte')} of its output are not in the log")
    for path in job.plain.get("left", []):
        say(f"job {job.number}: changed in its held copy, and kept there: {shown(path)}")
    return job.exit_code


def how_back(job: jobs.Job) -> str:
    attach, cancel = f"`towline attach {job.number}`", f"`towline cancel {job.number}`"
    return f"{attach} comes back to it, {cancel} ends it"


def write_out(data: bytes) -> None:
    """Raises ReaderGoneError."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error


def _in_terminal(follower: Follower) -> jobs.Job:
    if sys.platform == "win32":
        raise UserError("this system has no terminal to lend", "`towline ssh` opens a shell there")
    with lent(follower.type):
        return follower.run()


def _leave(binding: Binding, job: jobs.Job, *, may_cancel: bool) -> int:
    again = "; Ctrl-C again cancels" if may_cancel else ""
    say(f"\njob {job.number} goes on: {how_back(job)}{again}")
    if not may_cancel:
        return ExitCode.INTERRUPTED
    try:
        time.sleep(AGAIN_S)
    except KeyboardInterrupt:
        jobs.cancel(binding, job.key)
        say(f"job {job.number} is asked to end")
        with suppress(KeyboardInterrupt):
            conclude(binding, jobs.wait(binding, job.key))
    return ExitCode.INTERRUPTED
