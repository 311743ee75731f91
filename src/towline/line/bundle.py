"""The bundle: the program for the machine, one zip of `core`, `disk` and `agent`.

`notebook` travels in it for the kernels there; the agent does not import it. Comments stay here;
lines keep their numbers, so that a traceback there names those that stand here.
The same sources give the same bytes, so the digest names the version: same digest, same program.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import marshal
import py_compile
import re
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

RINGS = ("core", "disk", "agent")
BESIDE = ("notebook",)
LAPTOP_ONLY = frozenset(
    f"towline/core/{name}.py"
    for name in ("address", "reconcile", "rename", "safety", "ticket", "unfinished")
)
"""Of these rings, what nothing on the machine imports."""
OWN_PYTHON = f"{sys.version_info[0] * 100 + sys.version_info[1]}"
BYTECODE_HEADER = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
"""Judged by nothing (flag 1, no hash): the source beside it came in the same zip."""
COMMENTS = (re.compile(rb"\n *#.*(?=\n)"), re.compile(rb"  # [^\"'\n]*(?=\n)"))
"""On a line of their own, and at the end of one where no quotes follow. No text of ours has
anything of the kind in it, which a test says."""

_ROOT = Path(__file__).parents[2]

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


@dataclass(frozen=True)
class Bundle:
    """The sources of a program as a zip that Python runs, and the digest that names it."""

    content: bytes
    digest: str

    def for_python(self, version: str) -> bytes:
        """Return the zip for a machine whose Python is `version` (`311`).

        If that is ours, bytecode lies beside the sources: a start there takes a third of the time.
        A Python that cannot use it takes the sources, as all others do.
        """
        return _with_bytecode(self) if version == OWN_PYTHON else self.content


def _with_bytecode(bundle: Bundle) -> bytes:
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
        sources = {path: archive.read(path) for path in archive.namelist()}
    return _zip({**sources, **_bytecode(sources)})


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
    return {path: _sent(source) for path, source in sources.items() if path not in LAPTOP_ONLY}


def pack(sources: Mapping[str, bytes]) -> Bundle:
    """Pack sources into a bundle, the same bytes for the same sources."""
    content = _zip(sources)
    return Bundle(content, hashlib.sha256(content).hexdigest()[:16])


def _zip(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of the files. Not compressed: what lies on the machine is read as it is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(files):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), files[path], zipfile.ZIP_STORED)
    return buffer.getvalue()


def _bytecode(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the bytecode of the agent's modules, but for the first, which any Python has to read.

    None for what goes beside: a kernel has a Python of its own.
    """
    beside = tuple(f"towline/{ring}/" for ring in BESIDE)
    return {
        f"{path}c": BYTECODE_HEADER
        + (_kept_bytecode(path, source) or _keep(path, source) or _compiled(path, source))
        for path, source in sources.items()
        if path != "__main__.py" and not path.startswith(beside)
    }


def _kept_bytecode(path: str, source: bytes) -> bytes | None:
    """Return what Python keeps of a module of this towline, if it is of this very source.

    For all of them that takes 5 ms where compiling takes 150. An installer need not have left any.
    """
    file = _ROOT / path
    try:
        kept = Path(importlib.util.cache_from_source(str(file))).read_bytes()
        if _sent(file.read_bytes()) != source:
            return None
        status = file.stat()
    except (OSError, NotImplementedError):  # Not there, or of a Python that keeps none.
        return None
    stamp = struct.pack("<II", int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
    if kept[:16] != importlib.util.MAGIC_NUMBER + bytes(4) + stamp:
        return None
    return kept[16:]


def _keep(path: str, source: bytes) -> bytes | None:
    """Let Python keep a module's bytecode, as if it were imported here, and return it.

    The laptop itself never imports most of these modules; the next bundle is packed sooner.
    """
    if sys.dont_write_bytecode:
        return None
    with suppress(OSError):  # An installation that is not the user's own stays as it is.
        py_compile.compile(str(_ROOT / path), quiet=2)
    return _kept_bytecode(path, source)


def _compiled(path: str, source: bytes) -> bytes:
    return marshal.dumps(compile(source, path, "exec", dont_inherit=True))


def _sources_in(directory: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for item in directory.iterdir():
        if item.is_dir():
            yield from _sources_in(item, f"{path}/{item.name}")
        elif item.name.endswith(".py"):
            yield f"{path}/{item.name}", item.read_bytes()


def _sent(source: bytes) -> bytes:
    """Return what is sent of a source: all but its comments."""
    alone, behind = COMMENTS
    return behind.sub(b"", alone.sub(b"\n", source))
