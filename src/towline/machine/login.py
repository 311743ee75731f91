"""The kernel's PATH in login shells: there /etc/profile of some systems sets its own, after ours.

Where the account may, a file beside the profile's own puts it back, in shells of this server alone,
until the server ends. Where not, what interactive shells read after the profile does. No file of
the person's is read or written.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from towline.machine.place import Place, write_private

PROFILES = Path("/etc/profile.d")  # Each *.sh in it is read by login shells of any kind.
PATH_VARIABLE = "TOWLINE_KEPT_PATH"

GUARD = """\
# Made by `towline up`, gone with `towline down`: the PATH of whoever called it, which /etc/profile
# has just replaced. It concerns shells of that server alone.
if [ "${{TOWLINE_STATUS_FILE-}}" = {status} ] && [ -n "${{TOWLINE_KEPT_PATH-}}" ]; then
    PATH=$TOWLINE_KEPT_PATH
    export PATH
fi
"""


@contextmanager
def path_kept(
    place: Place, environment: Mapping[str, str], name: str, profiles: Path = PROFILES
) -> Generator[dict[str, str]]:
    """Yield the environment with what keeps its PATH in login shells, for as long as it is kept.

    `name` is the machine's, so that what several leave in one directory does not collide.
    """
    if "PATH" not in environment:
        yield dict(environment)
        return
    text = GUARD.format(status=shlex.quote(str(place.status)))
    told = {**environment, PATH_VARIABLE: environment["PATH"]}
    file = profiles / f"towline-{name}.sh"
    if _write(file, text):
        try:
            yield told
        finally:
            with suppress(OSError):
                file.unlink()
        return
    write_private(place.login, text)
    read = f". {shlex.quote(str(place.login))}"
    # bash runs the first before its first prompt, sh reads the second when it is interactive.
    yield {"ENV": str(place.login), **told, "PROMPT_COMMAND": f"{read}; unset PROMPT_COMMAND"}


def _write(file: Path, text: str) -> bool:
    """Write what every account may read; False where that is not ours to write."""
    stage = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        stage.write_text(text)
        stage.chmod(0o644)
        stage.replace(file)
    except OSError:
        return False
    return True
