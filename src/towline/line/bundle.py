"""The bundle: the program for the machine, one zip of exactly `core`, `disk` and `agent`.

`notebook` travels in it for the kernels there; the agent does not import it.
The same sources give the same bytes, so the digest names the version: same digest, same program.
"""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

RINGS = ("core", "disk", "agent")
BESIDE = ("notebook",)

_EPOCH = (1980, 1, 1, 0, 0, 0)  # The earliest time that a zip can hold.
# Old Pythons must be able to parse this one, to say what is wrong instead of a traceback.
_MAIN = """\
import sys
if sys.version_info < (3, 10):
    sys.stdout.write("TOWLINE %s FAILED this Python is older than 3.10\\n" % sys.argv[-1])
    sys.exit(1)
from towline.agent.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A zip that Python runs, the same compressed for the way, and the digest that names it.

    Compressed as a whole it is a quarter smaller than file by file, and what lies on the machine
    is imported without unpacking.
    """

    content: bytes
    packed: bytes
    digest: str


@functools.cache
def load_bundle() -> Bundle:
    """Return the bundle of the towline that is running."""
    return pack(agent_sources())


def agent_sources() -> dict[str, bytes]:
    """Return the sources that go to the machine by their path in the bundle."""
    package = resources.files("towline")
    facade = (package / "__init__.py").read_bytes()
    sources = {"__main__.py": _MAIN.encode(), "towline/__init__.py": facade}
    for ring in (*RINGS, *BESIDE):
        sources.update(_sources_in(package / ring, f"towline/{ring}"))
    return sources


def pack(sources: Mapping[str, bytes]) -> Bundle:
    """Pack sources into a bundle, the same bytes for the same sources."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(sources):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), sources[path], zipfile.ZIP_STORED)
    content = buffer.getvalue()
    return Bundle(content, zlib.compress(content, 9), hashlib.sha256(content).hexdigest()[:16])


def _sources_in(directory: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for item in directory.iterdir():
        if item.is_dir():
            yield from _sources_in(item, f"{path}/{item.name}")
        elif item.name.endswith(".py"):
            yield f"{path}/{item.name}", item.read_bytes()
