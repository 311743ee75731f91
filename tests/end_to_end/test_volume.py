"""A project folder on the machine that is a volume of its own, and a copy of it in its place."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack

from tests.end_to_end.laptop import Laptop, read, save
from tests.end_to_end.test_full_disk import small_disk


def test_a_volume_that_was_copied_back_is_another_machine(laptop: Laptop) -> None:
    volume, copy = laptop.there, laptop.directory / "copy"
    with ExitStack() as disks:
        disks.enter_context(small_disk(volume))
        disks.enter_context(small_disk(copy))
        save(laptop.project / "a.py", "first")
        save(laptop.project / "b.py", "b")
        with laptop.linked():
            laptop.assert_equal()
        subprocess.run(["cp", "-a", f"{volume}/.", copy], check=True)
        with laptop.linked():
            save(laptop.project / "a.py", "a day of work")
            save(laptop.project / "c.py", "new today")
            laptop.flush()
        os.kill(laptop.agent(), signal.SIGKILL)
        subprocess.run(["mount", "--bind", copy, volume], check=True)
        disks.callback(subprocess.run, ["umount", "--lazy", volume], check=True)
        with laptop.linked() as link:
            assert link.wait_for("ready")["new_machine"]
            assert read(laptop.project / "a.py") == b"a day of work"
            assert read(laptop.project / "c.py") == b"new today"
            laptop.flush()
            laptop.assert_equal()
