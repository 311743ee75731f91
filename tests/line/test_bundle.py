"""Where the bundle's bytecode comes from; tests/line/test_bootstrap.py runs it all."""

from __future__ import annotations

import py_compile
from pathlib import Path

import pytest

from towline.line import bundle

OLD, NEW = b"VALUE = 1\n", b"VALUE = 22\n"
MARK = b"what Python has kept"


def bytecode_of(source: bytes) -> bytes:
    return bundle._bytecode({"module.py": source})["module.pyc"][16:]


def test_what_python_keeps_is_taken_if_it_is_of_this_very_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_ROOT", tmp_path)
    module = tmp_path / "module.py"
    module.write_bytes(OLD)
    compiled = bytecode_of(OLD)
    kept = Path(py_compile.compile(str(module), doraise=True))
    kept.write_bytes(kept.read_bytes()[:16] + MARK)
    assert bytecode_of(OLD) == MARK
    assert bytecode_of(NEW) != MARK, "it is of the source that lies there"
    module.write_bytes(NEW)
    assert bytecode_of(NEW) != MARK, "it was kept before the edit"
    assert bytecode_of(OLD) == compiled
