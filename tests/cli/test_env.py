"""`towline env`: what it prints for a program."""

from __future__ import annotations

import json
from types import SimpleNamespace

from towline.environment.lock import from_machine

CAPTURED = {"changed": {"idna": {"was": "3.6", "now": "3.7"}}, "record": "r", "holds": True}


def test_capture_as_json_tells_the_packages_that_changed_and_whether_the_file_did(
    run, project, monkeypatch
):
    asked = SimpleNamespace(binding=SimpleNamespace(project=project))
    monkeypatch.setattr("towline.cli.env._asked", lambda *_: asked)
    monkeypatch.setattr("towline.environment.machine.capture", lambda _: from_machine(CAPTURED))
    monkeypatch.setattr("towline.environment.machine.hold", lambda *_: None)
    told = [json.loads(run("env", "capture", "--json").out) for _ in range(2)]
    assert [(one["written"], one["changed"]) for one in told] == [
        (True, CAPTURED["changed"]),
        (False, CAPTURED["changed"]),
    ]
