"""A service of the machine, opened here: found or installed, started, forwarded, ended.

Blocking, for commands. What a service is stands in `services`, how it is kept in `agent.service`;
the forward to it is the engine's. The page that lets in lies in a private file, for an address with
a token in it would be seen among the arguments of the browser.
"""

from __future__ import annotations

import hashlib
import webbrowser
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from towline.across import Call, Program
from towline.control import Json, ask, follow
from towline.errors import ExitCode, UserError
from towline.forwards.place import Place
from towline.places import Binding, ensure_private, state_dir, write_private
from towline.served import ask_agent, keep_files, kept_files, note_run
from towline.services.base import READY_S, Found, Service, Start

PORTS = range(18000, 28000)  # Below those that systems give to outgoing connections.
INSTALL_TAIL = 20  # Lines that are told of an installation that failed.

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Running:
    """A service as it is reached here."""

    url: str
    port: int
    secret: str
    was_running: bool
    listen: str

    def as_json(self) -> Json:
        return {"url": self.url, "port": self.port, "was_running": self.was_running}


def ensure(binding: Binding, service: Service, folder: str, tell: Tell) -> Running:
    """Return the service, running and forwarded; installed and started if need be.

    Raises UserError.
    """
    known = _ask_agent(binding, service, {"do": "status", "want": service.kept})
    was_running = known["running"]
    if not was_running:
        known = _start(binding, service, folder, tell)
    keep_files(service.name, known)
    note_run(binding, service, runs=True)
    forward = _forward(binding, service, known["socket"], tell)
    port = int(forward["listen"].rpartition(":")[2])
    secret = known["secrets"][service.secret]
    return Running(service.url(port, secret), port, secret, was_running, forward["listen"])


def status(binding: Binding, service: Service) -> Running | None:
    """Return the service if it runs and is forwarded; None if it does not run."""
    known = _ask_agent(binding, service, {"do": "status", "want": service.kept})
    keep_files(service.name, known)
    if not known["running"]:
        return None
    forward = _forward(binding, service, known["socket"], lambda _: None)
    port = int(forward["listen"].rpartition(":")[2])
    secret = known["secrets"][service.secret]
    return Running(service.url(port, secret), port, secret, True, forward["listen"])


def stop(binding: Binding, service: Service) -> bool:
    """End the service and its forward; return whether it ran."""
    known = _ask_agent(binding, service, {"do": "stop", "want": service.kept})
    keep_files(service.name, known)
    note_run(binding, service, runs=False)
    for forward in follow(binding, "forwards"):
        if forward["target"] == known["socket"]:
            ask(binding, "unforward", which=forward["listen"])
    return bool(known["was_running"])


def open_browser(binding: Binding, service: Service, running: Running) -> bool:
    """Open its page; return whether there is a browser to do it."""
    page = ensure_private(state_dir() / "pages") / f"{binding.id}.{service.name}.html"
    write_private(page, service.door(running.port, running.secret))
    return webbrowser.open(page.as_uri())


def folder_of(binding: Binding) -> str:
    """Return the project's folder on the machine. Raises UserError while it is not reached."""
    folder = ask(binding, "status")["machine_path"]
    if not folder:
        raise UserError("the machine is not connected yet", exit_code=ExitCode.UNAVAILABLE)
    return str(folder)


# Starting


def _start(binding: Binding, service: Service, folder: str, tell: Tell) -> Json:
    found = _find(binding, service, folder)
    program = service.program(found)
    if not program:
        tell(f"there is no {service.title} on the machine: installing it, in {service.own}")
        _install(binding, service.install(found), found.path, tell)
        found = _find(binding, service, folder)
        if not (program := service.program(found)):
            raise UserError(f"{service.title} was installed, and cannot be found there")
    start = service.start(found, program, folder)
    for note in start.notes:
        tell(note)
    for command in start.before:
        _run_before(binding, command, found.path, tell)
    tell(f"starting {service.title}")
    return _ask_agent(binding, service, _request(service, start, folder, found.path))


def _request(service: Service, start: Start, folder: str, path: str) -> Json:
    return {
        "do": "start",
        "argv": list(start.argv),
        "env": {**start.env, "PATH": path},
        "cwd": folder,
        "files": dict(start.files),
        "once": kept_files(service.name, service.kept),
        "secrets": list(start.secrets),
        "want": list(service.kept),
        "ready": start.ready,
        "timeout_s": READY_S,
    }


def _find(binding: Binding, service: Service, folder: str) -> Found:
    near = [f"{folder}/.venv", f"{folder}/venv"]
    request = {"do": "find", "programs": service.programs, "modules": service.modules}
    said = _ask_agent(binding, service, {**request, "near": near, "own": [service.own]})
    programs = {name: path for name, path in said["programs"].items() if path}
    return Found(programs, said["python"] or "", said["modules"], said["path"], said["home"])


def _install(binding: Binding, script: str, path: str, tell: Tell) -> None:
    code, lines = _follow(binding, ["sh", "-c", script], path, tell)
    if code:
        told = "\n".join(lines[-INSTALL_TAIL:])
        raise UserError(f"the installation failed ({code}):\n{told}")


def _run_before(binding: Binding, command: Iterable[str], path: str, tell: Tell) -> None:
    argv = list(command)
    code, lines = _follow(binding, argv, path, lambda _: None)
    if code:
        tell(f"{' '.join(argv[-2:])}: {lines[-1] if lines else f'exit code {code}'}")


def _follow(
    binding: Binding, argv: list[str], path: str, tell: Tell
) -> tuple[int | None, list[str]]:
    """Run a program there to its end, telling its lines as they come."""
    lines: list[str] = []
    rest = {"o": b"", "e": b""}
    with Program(binding, Call(argv, env={"PATH": path})) as program:
        program.end_input()
        for kind, content in program.records():
            *whole, rest[kind] = (rest[kind] + content).split(b"\n")
            for line in whole:
                lines.append(line.decode(errors="replace").rstrip())
                tell(f"  {lines[-1]}")
    lines += [line.decode(errors="replace") for line in rest.values() if line]
    return program.code, lines


def _ask_agent(binding: Binding, service: Service, request: Json) -> Json:
    return ask_agent(binding, service.name, service.title, request)


def _forward(binding: Binding, service: Service, socket: str, tell: Tell) -> Json:
    """Return the forward to the service: the one there is, or one at the port it always has."""
    for forward in follow(binding, "forwards"):
        if forward["target"] == socket:
            return forward
    port = stable_port(binding.id, service.name)
    target = Place(path=socket).as_json()
    try:
        return ask(binding, "forward", target=target, listen=port)
    except UserError as error:
        if error.exit_code != ExitCode.TRY_AGAIN:
            raise
        tell(f"{error.message}; another one is used")
        return ask(binding, "forward", target=target, listen=0)


def stable_port(workspace_id: str, name: str) -> int:
    """Return the same port each time: what a browser remembers goes by it."""
    digest = hashlib.blake2b(f"{workspace_id} {name}".encode(), digest_size=4).digest()
    return PORTS[int.from_bytes(digest, "big") % len(PORTS)]
