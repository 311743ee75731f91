"""What a machine says of a service is looked at before anything of it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from towline import served
from towline.across import Finished
from towline.errors import UserError
from towline.places import Binding, Workspaces, state_dir
from towline.served import ask_agent, keep_files

WANT = ["settings.json"]
SOUND: dict[str, Any] = {"running": True, "socket": "/s", "secrets": {"token": "x"}, "files": {}}


@pytest.fixture
def binding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Binding:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return Workspaces().ensure(tmp_path, "gpu-box")


def answer(binding: Binding, monkeypatch: pytest.MonkeyPatch, said: bytes) -> dict[str, Any]:
    monkeypatch.setattr(served, "run", lambda *_, **__: Finished(0, said, b""))
    return ask_agent(binding, "code", "code-server", {"do": "status", "want": WANT})


def test_only_files_that_were_asked_for_are_kept(
    binding: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"settings.json": "{}", "other": "x", "..\\..\\evil": "x"}
    said = json.dumps({**SOUND, "files": files}).encode()
    keep_files("code", answer(binding, monkeypatch, said))
    assert [file.name for file in (state_dir() / "services").iterdir()] == ["code.settings.json"]


@pytest.mark.parametrize(
    "said",
    [
        {**SOUND, "files": None},
        {**SOUND, "files": {"settings.json": 1}},
        {**SOUND, "files": {"settings.json": "\ud800"}},
        {**SOUND, "files": {"settings.json": "x" * (served.FILE_MAX + 1)}},
        {**SOUND, "secrets": {"token": 1}},
        {**SOUND, "running": None},
        {**SOUND, "socket": 1},
        {},
        [],
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    binding: Binding, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    with pytest.raises(UserError):
        answer(binding, monkeypatch, json.dumps(said).encode())


def test_an_answer_that_is_nested_without_end_is_one_sentence(
    binding: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError):
        answer(binding, monkeypatch, b"[" * 200_000)
