"""What is known here of the services that a machine runs: for the next one, which starts without.

Their settings, as the person changed them, and which of them ran. Asked of the machine's own end;
started and stopped they are by `serving`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from towline.across import Call, not_understood, object_in, run
from towline.control import Json
from towline.errors import UserError
from towline.places import Binding, ensure_private, state_dir, write_private
from towline.services.base import Service

FILE_MAX = 1 << 20  # Characters of a file that is kept, as on the machine.


def ask_agent(
    binding: Binding, name: str, title: str, request: Json, *, behind: bool = False
) -> Json:
    """Ask the machine's end of a service, `behind` all else on the Line.

    Raises UserError for what it says is wrong.
    """
    given = json.dumps(request).encode() + b"\n"
    call = Call(["service", f"{name}-{binding.id}"], agent=True)
    done = run(binding, call, given, bulk=behind)
    try:
        said = object_in(done.stdout)
    except UserError:
        told = done.stderr.decode(errors="replace").strip()[-500:]
        raise UserError(f"the machine cannot say how {title} is: {told}") from None
    if (error := said.get("error")) is not None:
        log = f"\n{said['log']}" if said.get("log") else ""
        raise UserError(f"{title}: {error}{log}")
    return said if request["do"] == "find" else _state(said, request["want"])


def _state(said: Json, want: Sequence[str]) -> Json:
    """Return how it is, with no files but those that were asked for. Raises UserError."""
    files, secrets = said.get("files"), said.get("secrets")
    if not (isinstance(files, dict) and isinstance(secrets, dict)):
        raise not_understood()
    texts = {name: cast("Json", files).get(name) for name in want}
    is_sound = (
        all(text is None or _is_text(text) for text in texts.values())
        and all(map(_is_text, cast("Json", secrets).values()))
        and isinstance(said.get("running"), bool)
        and _is_text(said.get("socket"))
    )
    if not is_sound:
        raise not_understood()
    return {**said, "files": texts}


def _is_text(value: object) -> bool:
    """Whether a file can hold it, and is to."""
    if not isinstance(value, str) or len(value) > FILE_MAX:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


# Settings


def keep_files(name: str, known: Json) -> None:
    """Keep what the person changed in the service's own settings."""
    for file, text in cast("dict[str, str | None]", known["files"]).items():
        if text is not None and text != _read(_kept(name, file)):
            write_private(_kept(name, file), text)


def kept_files(name: str, files: Sequence[str]) -> dict[str, str]:
    """Return what was kept, by the name it has there."""
    texts = {file: _read(_kept(name, file)) for file in files}
    return {file: text for file, text in texts.items() if text is not None}


def _kept(name: str, file: str) -> Path:
    return _directory() / f"{name}.{file.replace('/', '.')}"


# Which of them ran


def note_run(binding: Binding, service: Service, *, runs: bool) -> None:
    """A person has started this service on the machine, or ended it."""
    known = _known(binding)
    before = dict(known)
    if runs:
        known[service.name] = {"title": service.title, "kept": list(service.kept)}
    else:
        known.pop(service.name, None)
    if known != before:
        _write(binding, known)


def keep_settings(binding: Binding) -> None:
    """Keep the settings of what runs. Raises UserError."""
    for name, one in _known(binding).items():
        request = {"do": "status", "want": one["kept"]}
        keep_files(name, ask_agent(binding, name, one["title"], request, behind=True))


def take_gone(binding: Binding) -> dict[str, str]:
    """Return what ran and does not run here, its title by its name, once. Raises UserError."""
    known = _known(binding)
    request: Json = {"do": "status", "want": []}
    gone = {
        name: str(one["title"])
        for name, one in known.items()
        if not ask_agent(binding, name, one["title"], request)["running"]
    }
    if gone:
        _write(binding, {name: one for name, one in known.items() if name not in gone})
    return gone


def _known(binding: Binding) -> dict[str, Json]:
    try:
        plain: object = json.loads(_read(_record(binding)) or "{}")
    except ValueError:
        return {}
    return cast("dict[str, Json]", plain) if isinstance(plain, dict) else {}


def _write(binding: Binding, known: dict[str, Json]) -> None:
    write_private(_record(binding), json.dumps(known))


def _record(binding: Binding) -> Path:
    return _directory() / f"{binding.id}.ran.json"


def _directory() -> Path:
    return ensure_private(state_dir() / "services")


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None
