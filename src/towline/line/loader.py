"""What takes the bundle in on a machine that does not have it. It runs there, alone, by `-c`.

Arguments: the bundle's name, then the agent's own. The bundle comes on stdin: how much of it was
sent before anybody asked, which is all the same here; its size, its digest, then itself, packed. It
is stored where the next start finds it, and becomes this process. Python >= 3.10, no imports beyond
the standard library; nothing of towline is there yet.
"""

import hashlib
import os
import select
import stat
import sys
import zlib

KEPT = 5  # Bundles of other versions that stay: several laptops may share the machine.


def read_bundle() -> bytes:
    """Return the packed bundle. Raises OSError if it is not what it claims to be."""
    read_exactly(8)
    size = int.from_bytes(read_exactly(8), "big")
    digest = read_exactly(32)
    packed = read_exactly(size)
    if hashlib.sha256(packed).digest() != digest:
        raise OSError("the agent arrived damaged")
    return packed


def read_exactly(size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        select.select([0], [], [])  # Stdin may be non-blocking.
        part = os.read(0, size - len(content))
        if not part:
            sys.exit("the laptop went away while it sent the agent")
        content += part
    return bytes(content)


def store(content: bytes, name: str) -> str:
    """Store the bundle in the first place that takes it and return its path."""
    reasons: list[str] = []
    for directory in places():
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            if not is_private(directory):
                reasons.append(f"{directory}: not ours alone")
                continue
            path = os.path.join(directory, f"agent-{name}.pyz")
            write_whole(path, content)
            write_whole(path[:-4] + ".python", os.fsencode(sys.executable + "\n"))
            prune(directory)
            return path
        except OSError as error:
            reasons.append(f"{directory}: {error.strerror}")
    raise OSError("there is no place for the agent (" + "; ".join(reasons) + ")")


def places() -> list[str]:
    home = os.path.expanduser("~/.cache/towline")
    bases = [os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp", "/dev/shm"]  # noqa: S108
    return [home, *(os.path.join(base, f"towline-{os.getuid()}") for base in bases if base)]


def is_private(directory: str) -> bool:
    status = os.lstat(directory)
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return ours and not status.st_mode & 0o022


def write_whole(path: str, content: bytes) -> None:
    """Write a file that is there completely or not at all."""
    beside = f"{path}.{os.getpid()}"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)  # A whole name with no content would break every later start.
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise


def prune(directory: str) -> None:
    bundles = [name for name in os.listdir(directory) if name.endswith(".pyz")]
    paths = [os.path.join(directory, name) for name in bundles]
    for path in sorted(paths, key=os.path.getmtime)[: -KEPT - 1]:
        for old in (path, path[:-4] + ".python"):
            if os.path.exists(old):
                os.unlink(old)


def main(arguments: list[str]) -> None:
    name, *rest = arguments
    try:
        path = store(zlib.decompress(read_bundle()), name)
    except (OSError, zlib.error) as error:
        nonce = rest[-1]
        print(f"TOWLINE {nonce} FAILED {error}", flush=True)  # noqa: T201
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, "-I", "-S", path, *rest])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[2:])  # The first is this source itself.
