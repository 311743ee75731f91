"""`towline run`: a job on the machine, that nothing here can end by accident."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from towline import control, jobs
from towline.cli.attend import attend, how_back
from towline.cli.choose import chosen
from towline.cli.flush import TIMEOUT_S, refuse_unflushed
from towline.cli.options import Command, json_option, which_workspace_of_jobs
from towline.cli.output import data, json_line, say
from towline.cli.terminal import size_here
from towline.errors import ExitCode, UserError
from towline.jobs.kept import forget, keep
from towline.places import Binding, as_name


@click.command(
    cls=Command,
    short_help="Run a command there as a job, which survives everything here.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--name", "job_name", metavar="NAME", default="", help="What the job is called.")
@click.option("--env", "env", metavar="K=V", multiple=True, help="A variable for it; repeatable.")
@click.option("--tty", is_flag=True, help="In a terminal there, which is this one.")
@click.option("--detach", is_flag=True, help="Return once it runs, and print its number.")
@click.option(
    "--resume-on-new-machine",
    "resumes",
    is_flag=True,
    help="Keep the request here, to begin it again on the next machine.",
)
@click.option(
    "--hold-code",
    "hold",
    is_flag=True,
    help="Run in a copy of this revision, which later edits do not reach.",
)
@click.option(
    "--on-deadline",
    metavar="SIGNAL",
    default="",
    help="Sent when the machine ends soon; `none` for none. "
    "[default: USR1, to processes that catch it]",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@which_workspace_of_jobs
@json_option
def run(
    job_name: str,
    env: tuple[str, ...],
    tty: bool,
    detach: bool,
    resumes: bool,
    hold: bool,
    on_deadline: str,
    command: tuple[str, ...],
    project: Path | None,
    workspace: str | None,
    as_json: bool,
) -> int:
    """Flush, then run a command in the project's folder on the machine, and stay with it.

    It is a job: it goes on without this command, this computer and the engine. Its output comes
    here, and its exit code becomes this command's. Ctrl-C leaves it running and says how to come
    back; a second Ctrl-C within two seconds cancels it.

    One word is read by the shell there, several are passed as they are.
    """
    binding = chosen(project, workspace)
    asked = jobs.Asked(
        argv=command,
        shell=len(command) == 1,
        name=_checked_name(job_name),
        env=dict(_variable(text) for text in env),
        tty=_size(detach) if tty else None,
        hold=hold,
        on_deadline=_signal_name(on_deadline),
        resumes=resumes,
    )
    job = _begin(binding, asked)
    if as_json:
        json_line(job.plain)
    if detach:
        if not as_json:
            data(str(job.number))
        say(f"job {job.number} runs at revision {job.plain['revision']}: {how_back(job)}")
        return ExitCode.OK
    return attend(binding, job)


def _begin(binding: Binding, asked: jobs.Asked) -> jobs.Job:
    reply = control.flush(binding, TIMEOUT_S)
    refuse_unflushed(reply)
    if asked.resumes:
        keep(binding, asked)  # Before it begins: what began must not be forgotten.
    try:
        return jobs.start(binding, asked, reply["revision"])
    except UserError as error:
        if asked.resumes and error.exit_code is ExitCode.UNAVAILABLE:
            say("it may have begun: its request is kept, to begin it where it does not run")
        else:
            forget(binding, asked.key)
        raise


def _checked_name(name: str) -> str:
    if name and (name.isdigit() or as_name(name) != name):
        raise UserError(
            f"{name!r} cannot be a job's name",
            "letters, digits, `.`, `_` and `-`, and not digits alone",
            ExitCode.USAGE,
        )
    return name


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UserError(f"{text!r} is not K=V", exit_code=ExitCode.USAGE)
    return name, value


def _size(detach: bool) -> tuple[int, int]:
    if not detach and not sys.stdin.isatty():
        raise UserError(
            "--tty needs a terminal here", "with --detach the job has one alone", ExitCode.USAGE
        )
    return size_here()


def _signal_name(text: str) -> str:
    """Return the name as Python has it."""
    name = text.upper()
    if name in ("", "NONE"):
        return name.lower()
    name = name if name.startswith("SIG") else f"SIG{name}"
    known = {*signal.Signals.__members__, "SIGUSR1", "SIGUSR2", "SIGHUP"}  # Those of the machine.
    if name not in known:
        raise UserError(f"{text} is no signal", exit_code=ExitCode.USAGE)
    return name
