"""The fuzz targets, run without their fuzzer: on any bytes, and on what fuzzing has found."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

TARGETS = {
    path.stem.removeprefix("fuzz_"): runpy.run_path(str(path))
    for path in sorted((Path(__file__).parents[1] / "fuzz").glob("fuzz_*.py"))
}


def target(name: str) -> Callable[[bytes], None]:
    if name == "zstd" and TARGETS[name]["LIBRARY"] is None:
        pytest.skip("the system's libzstd is not there")
    found: Callable[[bytes], None] = (
        TARGETS[name].get("test_one_input") or TARGETS[name]["check_one"]
    )
    return found


def test_what_a_peer_or_a_file_may_hold_has_a_target() -> None:
    assert sorted(TARGETS) == [
        *("config", "frames", "ignore", "messages", "paths", "ticket", "zstd")
    ]


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary(max_size=300))
@example(b"")
@example(b"\0")
def test_any_bytes_are_taken_or_refused(name: str, data: bytes) -> None:
    target(name)(data)


FOUND = [
    ("paths", b"\xc2\xdc\xb7\xdc"),  # As UTF-16: the bytes of a letter, each escaped.
]


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_fuzzing_found_stays_mended(name: str, data: bytes) -> None:
    target(name)(data)


@given(text=st.text(st.sampled_from("ab.d/\\ \0\u00e9\udcff:~"), max_size=40))
@example("../x")
@example("a/../../x")
@example("d/a/x")
@example(".TOWLINE/x")
def test_paths_of_what_makes_paths_dangerous(text: str) -> None:
    target("paths")(text.encode("utf-8", "surrogatepass"))
    target("paths")(text.encode("utf-16-le", "surrogatepass"))


@given(lines=st.lists(st.text(st.sampled_from("ab*?[]!-/\\# \t\u00e9"), max_size=12), max_size=5))
def test_rules_of_what_rules_are_made_of(lines: list[str]) -> None:
    target("ignore")("\n".join(lines).encode() + b"\n\0\na/b")


@given(text=st.text(st.sampled_from('[tool.wine]"=,#\n 12x{}'), max_size=60))
def test_configuration_of_what_toml_is_made_of(text: str) -> None:
    target("config")(text.encode())
