"""The agent's command line: `attach` for ssh, `service` for the laptop; the rest for the machine.

`job …` and `top …` are what the laptop runs there: `jobs/verbs.py`, `top.py`.

python -I -S agent-HASH.pyz attach WORKSPACE --bundle HASH [--given yes] --nonce NONCE
python -I -S agent-HASH.pyz service NAME
python -I -S agent-HASH.pyz status|flush|stop WORKSPACE [--timeout S]
python -I -S agent-HASH.pyz ports
python -I -S agent-HASH.pyz environment capture|restore|watch REQUEST
python agent-HASH.pyz inventory    (the user's own Python, with what is installed for it)
python -I -S agent-HASH.pyz carry|keep WORKSPACE            (a call on standard input)
python -I -S agent-HASH.pyz carry-stop|keep-stop WORKSPACE
python -I -S agent-HASH.pyz notices WORKSPACE               (started by the agent itself)
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towline.agent.loop import Service

USAGE = 2
GC_THRESHOLD = (50_000, 20, 20)
"""There are next to no cycles: to look for them at every 700 objects takes a tenth of a copy."""
TIMEOUT_S = 10.0
_VERBS = ("status", "flush", "stop", "carry", "carry-stop", "keep", "keep-stop", "notices")


def main(arguments: Sequence[str]) -> int:
    """Carry out one verb and return the exit status."""
    if arguments[:1] == ["ports"]:
        from towline.agent.ports import ports_main

        return ports_main()
    if arguments[:1] == ["inventory"]:
        from towline.agent.environment import inventory

        return inventory.main()
    if arguments[:1] == ["environment"]:
        from towline.agent.environment import command

        return command.main([*arguments[1:]])
    if arguments[:1] == ["job"]:
        from towline.agent.jobs.verbs import job_main

        return job_main(arguments[1:])
    if arguments[:1] == ["top"]:
        from towline.agent.top import top_main

        return top_main(arguments[1:])
    verb, workspace, options = _parse(arguments)
    gc.set_threshold(*GC_THRESHOLD)
    if verb == "attach":
        from towline.agent.attach import attach

        given = options.get("given") == "yes"
        named = (workspace, options["bundle"], options["nonce"])
        return attach(*named, _building(workspace), given=given)
    if verb == "service":
        from towline.agent.service import main as serve

        return serve(workspace)
    if verb == "notices":
        from towline.agent import notices

        return notices.main(workspace)
    if verb in ("carry", "carry-stop"):
        from towline.agent import outward

        return outward.main(workspace) if verb == "carry" else outward.stop(workspace)
    if verb in ("keep", "keep-stop"):
        from towline.agent import keeper

        return keeper.main(workspace) if verb == "keep" else keeper.stop(workspace)
    return _ask(verb, workspace, float(options.get("timeout", TIMEOUT_S)))


def _parse(arguments: Sequence[str]) -> tuple[str, str, dict[str, str]]:
    """Return verb, workspace and options; argparse would cost each attach its import."""
    verb, workspace, *rest = [*arguments, "", ""][: max(2, len(arguments))]
    options = {
        name.removeprefix("--"): value for name, value in zip(rest[::2], rest[1::2], strict=False)
    }
    complete = verb in (*_VERBS, "service") or (
        verb == "attach" and {"bundle", "nonce"} <= options.keys()
    )
    if not workspace or not complete:
        print(__doc__, file=sys.stderr)  # noqa: T201
        raise SystemExit(USAGE)
    return verb, workspace, options


def _building(workspace: str) -> Callable[[], Service]:
    def build() -> Service:
        from towline.agent.serve import open_service  # Only the daemon needs all the rest.

        return open_service(workspace)

    return build


def _ask(verb: str, workspace: str, timeout_s: float) -> int:
    from towline.agent.ask import NoAgentError, ask

    try:
        answer = ask(workspace, {"verb": verb, "timeout": timeout_s}, timeout_s + 1)
    except NoAgentError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))  # noqa: T201
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
