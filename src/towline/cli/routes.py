"""`towline routes`: the ways to make this computer reachable, and which of them work here."""

from __future__ import annotations

import os
from typing import Any

import click

from towline.cli.options import Command, json_option
from towline.cli.output import data, json_line


@click.command(cls=Command, short_help="The ways to make this computer reachable.")
@json_option
def routes(as_json: bool) -> None:
    """List the routes: what each needs, its limits and cost, and whether it works here and now.

    Nothing is opened and no provider is asked: a route that "can be tried" may still be refused.
    """
    from towline.places import ensure_private, state_dir
    from towline.routes.base import Surroundings
    from towline.routes.catalog import routes as known

    around = Surroundings(ensure_private(state_dir() / "routes"), dict(os.environ))
    for route in known():
        about, why_not = route.about, route.why_not(around)
        if as_json:
            json_line(
                {
                    "route": about.name,
                    "usable": not why_not,
                    "why_not": why_not,
                    "configured": route.is_configured(around),
                    "needs": about.needs,
                    "limits": about.limits,
                    "cost": about.cost,
                    "carries": about.carries.value,
                    "laptop": about.laptop,
                    "settings": [_setting(around, setting) for setting in about.settings],
                }
            )
            continue
        data(f"{about.name:<14} {f'no: {why_not}' if why_not else 'can be tried'}")
        for name in ("needs", "limits", "cost"):
            data(f"{'':<14} {name + ':':<8} {getattr(about, name)}")


def _setting(around: Any, setting: Any) -> dict[str, object]:
    """What it is and whether it is set; never its value, which may be a secret."""
    return {
        "key": setting.key,
        "variable": setting.variable,
        "help": setting.help,
        "secret": setting.secret,
        "set": around.is_set(setting),
    }
