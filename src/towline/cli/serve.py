"""What the commands of services share: start, status and stop; the browser; a public address."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from towline.cli.choose import chosen
from towline.cli.output import data, json_line, say
from towline.errors import ExitCode, UserError
from towline.places import Binding
from towline.services.base import Service

ACTIONS = ("start", "status", "stop")
PUBLIC_MINUTES = 60.0
PUBLIC_MINUTES_MAX = 24 * 60.0

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def public_options(command: Decorated) -> Decorated:
    """Add `--public` and `--for`."""
    for decorate in (
        click.option(
            "--for",
            "minutes",
            metavar="MINUTES",
            type=click.FloatRange(min=0, min_open=True, max=PUBLIC_MINUTES_MAX),
            default=PUBLIC_MINUTES,
            show_default=True,
            help="How long --public lasts at most.",
        ),
        click.option(
            "--public",
            is_flag=True,
            help="Also at a public address, while this command runs: who has the secret gets in.",
        ),
    ):
        command = decorate(command)
    return command


def carry_out(
    action: str,
    service_of: Callable[[Binding], Service],
    project: Path | None,
    name: str | None,
    no_browser: bool,
    public: bool,
    minutes: float,
    as_json: bool,
) -> None:
    """Do what a service's command was asked for."""
    from towline import serving

    if public and action != "start":
        raise UserError("--public goes with start only", exit_code=ExitCode.USAGE)
    binding = chosen(project, name)
    service = service_of(binding)
    if action == "stop":
        return _stop(serving.stop(binding, service), service, as_json)
    if action == "status":
        return _tell(serving.status(binding, service), service, as_json)
    running = serving.ensure(binding, service, serving.folder_of(binding), say)
    if public:
        return _publish(service, running, minutes, as_json)
    _tell(running, service, as_json)
    if not no_browser and not as_json and not serving.open_browser(binding, service, running):
        say("no browser was found: open the address yourself")
    return None


def _tell(running: Any, service: Service, as_json: bool) -> None:
    if running is None:
        if as_json:
            json_line({"running": False})
        say(f"{service.title} does not run")
        raise click.exceptions.Exit(ExitCode.FAILED)
    if as_json:
        json_line({"running": True, **running.as_json(), service.secret: running.secret})
        return
    data(running.url)
    if running.secret not in running.url:
        say(f"{service.secret}: {running.secret}")


def _stop(was_running: bool, service: Service, as_json: bool) -> None:
    if as_json:
        json_line({"was_running": was_running})
    say(f"{service.title}: " + ("stopped" if was_running else "was not running"))


def _publish(service: Service, running: Any, minutes: float, as_json: bool) -> None:
    """Lead a public address to the service until the time is over, or Ctrl-C."""
    from towline.publish import publish

    say(f"{service.title} becomes public for {minutes:g} minutes: who has the address and the")
    say(f"{service.secret} can run anything on the machine as you. Ctrl-C ends it.")

    def told(base: str) -> None:
        url = service.public_url(base, running.secret)
        if as_json:
            json_line({"running": True, **running.as_json(), "public_url": url})
        else:
            data(url)
            if running.secret not in url:
                say(f"{service.secret}: {running.secret}")

    say(publish(running.port, minutes * 60, told, say))
