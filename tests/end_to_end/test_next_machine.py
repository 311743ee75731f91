"""What the next machine is given beside files, packages and repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, next_machine, wait_content
from tests.end_to_end.test_across import binding_of
from towline.served import note_run, take_gone
from towline.services.jupyter import JupyterLab


def test_a_job_marked_for_it_is_begun_again(laptop: Laptop, short_path: Path) -> None:
    line = "echo resume=$TOWLINE_RESUME > told.txt; exec sleep 1000"
    with laptop.linked():
        marked = ("run", "--detach", "--resume-on-new-machine", "--", "sh", "-c", line)
        done = laptop.run(*marked)
        assert done.returncode == 0, done.stderr
        wait_content(laptop.project / "told.txt", "resume=\n")
    with next_machine(laptop, short_path / "machine2"), laptop.linked() as link:
        told = link.wait_for("equipped")
        assert (told["steps"], told["left"]) == (["jobs"], []), link.story()
        wait_content(laptop.project / "told.txt", "resume=1\n")


def test_what_was_open_is_named_once(
    laptop: Laptop, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with laptop.linked():
        binding = binding_of(laptop, monkeypatch)
        note_run(binding, JupyterLab(), runs=True)
    with next_machine(laptop, short_path / "machine2"), laptop.linked() as link:
        told = link.wait_for("equipped")
        assert told["left"] == ["JupyterLab was running: `towline jupyter`"], link.story()
        assert take_gone(binding) == {}
        note_run(binding, JupyterLab(), runs=True)
        note_run(binding, JupyterLab(), runs=False)
        assert take_gone(binding) == {}, "it was ended by hand"
