#!/usr/bin/env python3
"""A WAN link in userspace, for kernels without `tc netem`. Linux, root, standard library only.

Two network namespaces, `near` (the laptop) and `far` (the machine), are joined by a small daemon
that holds one TUN device in each and carries IP packets between them after a delay, with loss,
jitter, a rate cap and a `cut` switch. Everything can be changed while traffic runs.

    with wan(rtt_ms=100, rate_mbit=(20, 100)) as link:   # A pair is near->far, far->near.
        subprocess.run(link.near(["ping", "-c3", link.far_address]))
        link.set(cut="on")

    lab/wan.py up --rtt 100 --loss 1 --rate 20/100       # ms; percent; Mbit/s
    lab/wan.py exec far  -- /usr/sbin/sshd -D -f my.conf  # near is 10.77.0.1, far is 10.77.0.2
    lab/wan.py connect near 10.77.0.2 22                 # a ProxyCommand, with ProxyUseFdpass yes
    lab/wan.py set --rtt 20 --loss 0                     # only what is named changes
    lab/wan.py set --cut on                              # black hole (also: up, down, off)
    lab/wan.py status                                    # settings and counters, as JSON
    lab/wan.py down --kill                               # also ends what still runs in there

Several links: give each its own --name; they may share an end by naming it (then each needs its own
--subnet). `down` deletes a namespace only if that link made it.

Model, each way on its own: drop by loss, wait for the rate cap's queue (tail-drop when more than
`queue` ms are waiting), half the rtt, plus up to `jitter` ms (order is kept). `cut` drops at both
ends of the delay, so nothing in flight gets out. Loss and jitter come from a seed. The namespaces
get TCP cubic or reno: with BBR, the default on some hosts, loss hardly slows TCP.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import functools
import gc
import json
import os
import random
import secrets
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

End = Literal["near", "far"]
Cut = Literal["off", "on", "up", "down"]
Pair = tuple[float, float]
Settings = dict[str, Any]

RUN = Path("/run/wan")
NAMESPACES = Path("/run/netns")
NAME_MAX = 13  # The kernel gives a device 15 letters; two mark the end.
SUBNET = "10.77.0"
MTU = 1500
BURST_MAX = 64  # Packets read at once: more would let one way starve the other.
REQUEST_MAX = 65536
QUIT_TIMEOUT_S = 5

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET, PR_SET_TIMERSLACK = 0x40000000, 29

UNITS = {"rtt": "MS", "jitter": "MS", "loss": "PERCENT", "rate": "MBIT", "queue": "MS"}
DEFAULTS: dict[str, Pair] = dict.fromkeys(UNITS, (0.0, 0.0)) | {"queue": (200.0, 200.0)}


class WanError(Exception):
    """The link could not be made or reached; the message says why."""


# For tests


class Link:
    """A link that is up. Its ends are network namespaces; files and users are the host's."""

    def __init__(self, name: str, ends: Mapping[str, str], subnet: str) -> None:
        self.name = name
        self.near_address, self.far_address = f"{subnet}.1", f"{subnet}.2"
        self._ends = ends

    def near(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs `argv` on the laptop's side."""
        return self._at("near", argv)

    def far(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs `argv` on the machine's side."""
        return self._at("far", argv)

    def namespace(self, end: End) -> str:
        """Return the name of the namespace at an end."""
        return self._ends[end]

    def device(self, end: End) -> str:
        """Return the name of the link's device at an end."""
        return f"{self.name}-{end[0]}"

    def _at(self, end: End, argv: Sequence[str | Path]) -> list[str]:
        return ["nsenter", f"--net={NAMESPACES / self._ends[end]}", "--", *map(str, argv)]

    def connect_command(self, host: str, port: int) -> str:
        """Return an ssh ProxyCommand that connects from the near end (with ProxyUseFdpass yes).

        So an ssh started anywhere on the host goes through the link, and nothing relays its bytes.
        """
        program = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
        return shlex.join([*program, "connect", "--name", self.name, "near", host, str(port)])

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect from the near end. Raises `ConnectionError` if that fails."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            command = shlex.split(self.connect_command(host, port))
            done = subprocess.run(
                command, stdout=theirs.fileno(), stderr=subprocess.PIPE, text=True
            )
            if done.returncode:
                raise ConnectionError(done.stderr.strip())
            return socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0])

    def set(self, *, cut: Cut | None = None, **changes: float | Pair) -> None:
        """Change what is named: cut, rtt_ms, jitter_ms, loss_percent, rate_mbit, queue_ms."""
        request = _settings(changes) | ({"cut": cut} if cut else {})
        ask(self.name, {"set": request})

    def status(self) -> dict[str, Any]:
        """Return settings and, for `up` and `down`, the counters of packets, bytes and drops."""
        return ask(self.name, {})


@contextmanager
def wan(
    *, seed: int = 1, near: str = "", subnet: str = SUBNET, **settings: float | Pair
) -> Generator[Link]:
    """Bring a link up, yield it, and take it down with all that still runs in it.

    Settings are rtt_ms, jitter_ms, loss_percent, rate_mbit (0: no cap) and queue_ms; a pair is
    (near->far, far->near). `near` is a namespace that is there already, to begin at; such a link
    needs a `subnet` of its own. Raises `WanError` if this machine cannot have one (see `why_not`).
    """
    if reason := why_not():
        raise WanError(reason)
    name = f"wan{secrets.token_hex(4)}"
    options = [f"--{key}={up}/{down}" for key, (up, down) in _settings(settings).items()]
    # In a process of its own: the daemon is a fork, and this process may have threads.
    argv = [sys.executable, "-I", "-S", __file__, "up", "--name", name, f"--seed={seed}"]
    argv += ["--subnet", subnet, *(("--near", near) if near else ()), *options]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise WanError(done.stderr.strip())
    try:
        yield Link(name, _ends_of(name), subnet)
    finally:
        take_down(name, kill=True)


@functools.cache
def why_not() -> str | None:
    """Return why this machine cannot have a link, or None if it can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    for program in ("ip", "nsenter"):
        if not shutil.which(program):
            return f"needs the program {program}"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"needs /dev/net/tun: {error.strerror}"
    probe = f"probe{secrets.token_hex(4)}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", probe], capture_output=True)
    return f"needs network namespaces: {made.stderr.strip()}" if made.returncode else None


def _settings(named: Mapping[str, float | Pair]) -> dict[str, Pair]:
    """Turn `rtt_ms=100` into the daemon's `rtt: (100, 100)`."""
    keys = {f"{key}_{unit.lower()}": key for key, unit in UNITS.items()}
    if unknown := sorted(set(named) - set(keys)):
        raise TypeError(f"no such setting: {', '.join(unknown)}")
    return {
        keys[name]: value if isinstance(value, tuple) else (float(value), float(value))
        for name, value in named.items()
    }


# The daemon


class Way:
    """One direction: packets read from `source` wait here until they are written to `target`."""

    def __init__(self, source: int, target: int, index: int) -> None:
        self.source, self.target, self.index = source, target, index
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._free_at = self._last_due = 0.0
        self._counts = dict.fromkeys(("packets", "bytes", "lost", "overflow", "cut_drops"), 0)

    def configure(self, settings: Settings) -> None:
        rtt, jitter, loss, rate, queue = (settings[key][self.index] for key in UNITS)
        self._delay_s, self._jitter_s = rtt / 2e3, jitter / 1e3
        self._loss, self._backlog_s = loss / 100, queue / 1e3
        self._s_per_byte = 8 / (rate * 1e6) if rate else 0.0
        self._cut = settings["cut"] in ("on", ("up", "down")[self.index])

    def take(self, rand: Callable[[], float], size: int) -> None:
        """Read what the kernel has for us, a burst at most, and give each packet its due time."""
        now = time.monotonic()
        for _ in range(BURST_MAX):
            try:
                packet = os.read(self.source, size)
            except BlockingIOError:
                return
            if self._cut:
                self._counts["cut_drops"] += 1
            elif self._loss and rand() < self._loss:
                self._counts["lost"] += 1
            elif (sent := self._sent_at(now, len(packet))) is None:
                self._counts["overflow"] += 1
            else:
                due = sent + self._delay_s + (self._jitter_s * rand() if self._jitter_s else 0.0)
                self._last_due = max(due, self._last_due)
                self._waiting.append((self._last_due, packet))

    def _sent_at(self, now: float, size: int) -> float | None:
        """When the rate cap has let a packet out, or None if its queue is full."""
        if not self._s_per_byte:
            return now
        start = max(self._free_at, now)
        if start - now > self._backlog_s:
            return None
        self._free_at = start + size * self._s_per_byte
        return self._free_at

    def give(self) -> float | None:
        """Write every packet whose time has come; return when the next one is due."""
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            packet = self._waiting.popleft()[1]
            if self._cut:
                self._counts["cut_drops"] += 1
                continue
            try:
                os.write(self.target, packet)
            except OSError:  # The interface was taken down: a real link would lose it too.
                self._counts["lost"] += 1
                continue
            self._counts["packets"] += 1
            self._counts["bytes"] += len(packet)
        return self._waiting[0][0] if self._waiting else None

    def counts(self) -> dict[str, int]:
        return self._counts | {"in_flight": len(self._waiting)}


def serve(options: argparse.Namespace) -> None:
    """Carry packets between the two ends until told to quit."""
    near = open_tun(f"{options.name}-n", options.near, f"{options.subnet}.1", options)
    far = open_tun(f"{options.name}-f", options.far, f"{options.subnet}.2", options)
    settings: Settings = {key: getattr(options, key) for key in (*UNITS, "cut")}
    ways = {near: Way(near, far, 0), far: Way(far, near, 1)}
    for way in ways.values():
        way.configure(settings)
    control = socket.socket(socket.AF_UNIX)
    control.bind(str(_socket_of(options.name)))
    control.listen()
    rand, size = random.Random(options.seed).random, options.mtu + 64  # noqa: S311
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)  # Wake up on time.
    gc.disable()
    quit_asked = False
    while not quit_asked:
        dues = [due for way in ways.values() if (due := way.give()) is not None]
        wait_s = max(0.0, min(dues) - time.monotonic()) if dues else None
        for ready in select.select((near, far, control.fileno()), (), (), wait_s)[0]:
            if ready in ways:
                ways[ready].take(rand, size)
            else:
                quit_asked = _answer(control, settings, list(ways.values()))


def _answer(control: socket.socket, settings: Settings, ways: list[Way]) -> bool:
    """Take one request and answer it; return whether it was the last."""
    with control.accept()[0] as caller:
        caller.settimeout(1)
        try:
            request = json.loads(caller.recv(REQUEST_MAX))
            settings.update(request.get("set", {}))
            for way in ways:
                way.configure(settings)
            up, down = (way.counts() for way in ways)
            answer = {"pid": os.getpid(), "settings": settings, "up": up, "down": down}
            caller.sendall(json.dumps(answer).encode())
        except (OSError, ValueError, LookupError, TypeError) as error:
            print("control:", repr(error), file=sys.stderr, flush=True)
            return False
    return bool(request.get("quit"))


def open_tun(device: str, namespace: str, address: str, options: argparse.Namespace) -> int:
    """Make a TUN device and move it into the namespace; the descriptor keeps working."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    ip("link", "set", device, "netns", namespace)
    enter(namespace)
    sysctl(f"ipv6/conf/{device}/disable_ipv6", "1")
    any(sysctl("ipv4/tcp_congestion_control", control) for control in options.cc.split(","))
    ip("addr", "add", f"{address}/24", "dev", device)
    ip("link", "set", device, "mtu", str(options.mtu), "txqueuelen", "10000", "up")
    ip("link", "set", "lo", "up")
    return tun


def ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise WanError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def enter(namespace: str) -> None:
    """Move this process into a network namespace (only that: mounts stay shared)."""
    with open(NAMESPACES / namespace) as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise WanError(f"setns {namespace}: {os.strerror(ctypes.get_errno())}")


def sysctl(key: str, value: str) -> bool:
    """Set a kernel setting of this namespace; return whether the kernel took it."""
    try:
        Path("/proc/sys/net", key).write_text(value + "\n")
    except OSError:
        return False
    return True


# The link's files, and the talk with its daemon


def _socket_of(name: str) -> Path:
    return RUN / f"{name}.sock"


def _record_of(name: str) -> Path:
    return RUN / f"{name}.json"


def _log_of(name: str) -> Path:
    return RUN / f"{name}.log"


def _ends_of(name: str) -> dict[str, str]:
    try:
        record = json.loads(_record_of(name).read_text())
    except FileNotFoundError:
        raise WanError(f"no link {name!r} is up") from None
    return {end: record[end] for end in ("near", "far")}


def ask(name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Send the daemon a request and return its answer. Raises `OSError` if it is not there."""
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.settimeout(5)
        daemon.connect(str(_socket_of(name)))
        daemon.sendall(json.dumps(request).encode())
        answer = b"".join(iter(lambda: daemon.recv(REQUEST_MAX), b""))
    return dict(json.loads(answer))


def bring_up(options: argparse.Namespace) -> None:
    """Make the namespaces and start the daemon; return when it answers."""
    name = options.name
    RUN.mkdir(parents=True, exist_ok=True)
    options.near, options.far = options.near or f"{name}-near", options.far or f"{name}-far"
    if _record_of(name).exists():
        raise WanError(f"link {name!r} is up (or left over): run `wan.py down --name {name}`")
    made = [end for end in (options.near, options.far) if not (NAMESPACES / end).exists()]
    record = {"near": options.near, "far": options.far, "made": made}
    _record_of(name).write_text(json.dumps(record))
    for namespace in made:
        ip("netns", "add", namespace)
    daemon = os.fork()
    if daemon == 0:
        _become_daemon(name)
        serve(options)
        sys.exit()
    while not os.waitpid(daemon, os.WNOHANG)[0]:
        with suppress(OSError):
            ask(name, {})
            return
        time.sleep(0.02)
    why = _log_of(name).read_text()
    take_down(name, kill=False)
    raise WanError(f"the daemon did not start:\n{why}")


def _become_daemon(name: str) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(os.open(_log_of(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.closerange(3, 1024)


def take_down(name: str, *, kill: bool) -> None:
    """End the daemon and delete the namespaces it made; with `kill`, first what runs in them."""
    with suppress(OSError):  # A daemon that died leaves its socket behind.
        daemon = os.pidfd_open(ask(name, {})["pid"])
        ask(name, {"quit": True})
        select.select((daemon,), (), (), QUIT_TIMEOUT_S)
        os.close(daemon)
    record = _record_of(name)
    made: list[str] = json.loads(record.read_text())["made"] if record.exists() else []
    for namespace in made:
        with suppress(WanError):  # Gone already: that is what we want.
            for process in ip("netns", "pids", namespace).split() if kill else ():
                with suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            ip("netns", "del", namespace)
    for path in (_socket_of(name), _log_of(name), record):
        path.unlink(missing_ok=True)


# The command line


def run_up(options: argparse.Namespace) -> None:
    bring_up(options)


def run_set(options: argparse.Namespace) -> None:
    named = {key: getattr(options, key) for key in (*UNITS, "cut")}
    ask(options.name, {"set": {key: value for key, value in named.items() if value is not None}})


def run_status(options: argparse.Namespace) -> None:
    print(json.dumps(ask(options.name, {}), indent=1))


def run_exec(options: argparse.Namespace) -> None:
    enter(_ends_of(options.name)[options.end])
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    os.execvp(argv[0], argv)  # noqa: S606


def run_connect(options: argparse.Namespace) -> None:
    """Connect from one end and hand the socket to ssh, which waits for it on our stdout."""
    enter(_ends_of(options.name)[options.end])
    # A socket stays in the namespace it was made in, whoever holds it.
    with (
        socket.create_connection((options.host, options.port)) as connection,
        socket.socket(fileno=os.dup(1)) as ssh,
    ):
        socket.send_fds(ssh, [b"\0"], [connection.fileno()])


def run_down(options: argparse.Namespace) -> None:
    take_down(options.name, kill=options.kill)


VERBS = {
    "up": run_up,
    "set": run_set,
    "status": run_status,
    "exec": run_exec,
    "connect": run_connect,
    "down": run_down,
}


def pair(text: str) -> Pair:
    """Read '100' (the same both ways) or '20/100' (near->far / far->near)."""
    up, _, down = text.partition("/")
    return float(up), float(down or up)


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, metavar="|".join(VERBS))
    verb = {name: verbs.add_parser(name) for name in VERBS}
    for name, subparser in verb.items():
        subparser.set_defaults(run=VERBS[name])
        subparser.add_argument("--name", default="wan", help=f"at most {NAME_MAX} letters")
    _add_settings(verb["up"], DEFAULTS | {"cut": "off"})
    _add_settings(verb["set"], {})
    verb["up"].add_argument("--near")
    verb["up"].add_argument("--far")
    verb["up"].add_argument("--subnet", default=SUBNET)
    verb["up"].add_argument("--mtu", default=MTU, type=int)
    verb["up"].add_argument("--seed", default=1, type=int)
    verb["up"].add_argument("--cc", default="cubic,reno", help="the first the kernel allows")
    verb["down"].add_argument("--kill", action="store_true", help="end what runs in there")
    for name in ("exec", "connect"):
        verb[name].add_argument("end", choices=("near", "far"))
    verb["exec"].add_argument("argv", nargs=argparse.REMAINDER)
    verb["connect"].add_argument("host")
    verb["connect"].add_argument("port", type=int)
    return parser


def _add_settings(parser: argparse.ArgumentParser, defaults: Mapping[str, Any]) -> None:
    for key, unit in UNITS.items():
        metavar = f"{unit}[/{unit}]"
        parser.add_argument(f"--{key}", type=pair, metavar=metavar, default=defaults.get(key))
    parser.add_argument("--cut", choices=("off", "on", "up", "down"), default=defaults.get("cut"))


def main() -> None:
    options = command_line().parse_args()
    try:
        if os.geteuid() != 0:
            raise WanError("needs root (network namespaces, /dev/net/tun)")
        if len(options.name) > NAME_MAX:
            raise WanError(f"a link's name has at most {NAME_MAX} letters")
        options.run(options)
    except (WanError, OSError) as error:
        sys.exit(f"wan.py: {error}")


if __name__ == "__main__":
    main()
