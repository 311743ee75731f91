"""What the next machine is given beside files, packages and repository."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.laptop import Laptop, next_machine, wait_content


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
