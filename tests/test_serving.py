"""What serving decides by itself; the rest is in tests/end_to_end, with real programs."""

from __future__ import annotations

import stat
from pathlib import Path

from towline.places import state_dir
from towline.served import keep_files, kept_files
from towline.services.code_server import SETTINGS, CodeServer
from towline.serving import PORTS, stable_port


def test_a_service_has_the_same_port_each_time_and_one_of_its_own() -> None:
    ports = [stable_port(f"{number:016x}", name) for number in range(50) for name in ("a", "b")]
    assert ports == [stable_port(f"{n:016x}", name) for n in range(50) for name in ("a", "b")]
    assert len(set(ports)) > 90
    assert set(ports) <= set(PORTS)


def test_settings_are_kept_for_the_next_machine(homes: Path) -> None:
    service = CodeServer()
    assert kept_files(service.name, service.kept) == {}
    keep_files(service.name, {"files": {SETTINGS: "{}", "data/User/keybindings.json": None}})
    assert kept_files(service.name, service.kept) == {SETTINGS: "{}"}
    keep_files(service.name, {"files": {SETTINGS: None}})
    still = kept_files(service.name, service.kept)
    assert still == {SETTINGS: "{}"}, "a machine that has none takes none away"
    (kept,) = (state_dir() / "services").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
