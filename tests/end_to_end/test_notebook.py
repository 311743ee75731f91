"""A notebook in step: save on the laptop, run the cell at once. Real sshd, real kernels."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, laptop_in, save, wait_until
from tests.notebook.kernel import Kernel, Stack, kernel_in, stack_named, today

LOAD = "%run ~/.cache/towline/notebook.py"
EDITS = 40
NAMES = ("one", "two", "three", "deep.four")


@pytest.fixture(params=("today", "colab"))
def stack(request: pytest.FixtureRequest) -> Stack:
    return stack_named(request.param)


def home_of(laptop: Laptop) -> dict[str, str]:
    """The environment of a kernel on the machine."""
    return {"PATH": os.environ["PATH"], "HOME": str(laptop.machine.home), "LANG": "C.UTF-8"}


@contextmanager
def notebook(laptop: Laptop, stack: Stack | None = None, load: str = LOAD) -> Generator[Kernel]:
    """A kernel on the machine, in step with the laptop."""
    python = (stack or today()).python
    with kernel_in(laptop.machine.home, home_of(laptop), python) as kernel:
        loaded = kernel.run(load)
        assert "towline: revision" in loaded.stdout, loaded
        yield kernel


def test_save_and_run_at_once(laptop: Laptop, stack: Stack) -> None:
    """On Colab's pair nothing of ours is installed."""
    save(laptop.project / "module.py", "VALUE = 0\n")
    with laptop.linked() as link, notebook(laptop, stack) as kernel:
        assert link.named("ready")[0]["notebook"] == LOAD
        assert laptop.status()["notebook"] == LOAD
        assert kernel.run("import module").said == ""
        for value in range(1, 20):
            save(laptop.project / "module.py", f"VALUE = {value}\n")
            ran = kernel.run("module.VALUE")
            assert (ran.result, ran.said) == (str(value), "")


def edit(project: Path, random: random.Random, number: int) -> None:
    """Save some modules together, in one of the ways in which editors and tools save."""
    for name in random.sample(NAMES, random.randint(1, len(NAMES))):
        path = project / f"{name.replace('.', '/')}.py"
        text = f"NUMBER = {number:05}\n"  # Of one size, whatever the number.
        match random.randrange(3):
            case 0:
                save(path, text)  # Beside, then renamed.
            case 1:
                path.write_text(text)
            case _:
                path.unlink()
                path.write_text(text)


def numbers(project: Path) -> list[int]:
    paths = [project / f"{name.replace('.', '/')}.py" for name in NAMES]
    return [int(path.read_text().split()[-1]) for path in paths]


def test_a_cell_is_never_stale_and_never_mixed(laptop: Laptop) -> None:
    """The short form of `nox -s bench-notebook`."""
    chance = random.Random(20261125)  # noqa: S311 - Not for secrets.
    (laptop.project / "deep").mkdir()
    (laptop.project / "deep/__init__.py").touch()
    for name in NAMES:
        save(
            laptop.project / f"{name.replace('.', '/')}.py",
            "NUMBER = 00000\n".replace("00000", "10000"),
        )
    with laptop.linked(), notebook(laptop) as kernel:
        kernel.run(f"import {', '.join(NAMES)}")
        values = f"[{', '.join(f'{name}.NUMBER' for name in NAMES)}]"
        for number in range(10_001, 10_001 + EDITS):
            edit(laptop.project, chance, number)
            ran = kernel.run(values)
            assert (ran.result, ran.said) == (str(numbers(laptop.project)), "")


def test_what_is_changed_on_the_machine_counts_as_well(laptop: Laptop) -> None:
    save(laptop.project / "module.py", "VALUE = 0\n")
    with laptop.linked(), notebook(laptop) as kernel:
        kernel.run("import module")
        for value in range(1, 10):
            save(laptop.there / "module.py", f"VALUE = {value}\n")
            assert kernel.value("module.VALUE") == str(value)


def test_loading_waits_for_the_first_sync_and_says_so(laptop: Laptop) -> None:
    laptop.configure('bandwidth = "10 Mbit/s"\n')
    save(laptop.project / "data.bin", os.urandom(3_000_000))
    save(laptop.project / "zz.py", "VALUE = 1\n")
    with kernel_in(laptop.machine.home, home_of(laptop)) as kernel:
        link = laptop.start()
        wait_until((laptop.there / ".towline").exists, "the folder is there")
        wait_until((laptop.machine.home / ".cache/towline/notebook.py").exists, "it is offered")
        loading = kernel.send(LOAD)
        wait_until(lambda: "waiting for the first sync" in kernel.heard(), "it says that it waits")
        loaded = kernel.collect(loading)
        assert loaded.stdout.startswith("towline: revision 2 of proj"), (
            "of the wait nothing is left"
        )
        assert kernel.value("import zz; zz.VALUE") == "1"
        assert link.end() == 0


def test_a_kernel_that_loads_it_at_its_start_starts_during_the_first_sync(laptop: Laptop) -> None:
    laptop.configure('bandwidth = "1 Mbit/s"\n')
    save(laptop.project / "data.bin", os.urandom(30_000_000))  # Four minutes.
    save(laptop.project / "zz.py", "VALUE = 1\n")
    link = laptop.start()
    wait_until((laptop.there / "zz.py").exists, "the first sync has begun")
    loads = [f"--IPKernelApp.code_to_run={LOAD}"]  # As `towline jupyter` with autoload says it.
    with kernel_in(laptop.machine.home, home_of(laptop), arguments=loads) as kernel:
        waiting = kernel.send("import zz; zz.VALUE")
        wait_until(lambda: "waiting for the first sync" in kernel.heard(), "it says that it waits")
        (laptop.project / "data.bin").unlink()
        ran = kernel.collect(waiting)
        assert ran.result == "1", ran
        assert "towline: revision" in ran.stdout
    assert link.end() == 0


def test_a_package_under_another_name_is_importable_at_once(laptop: Laptop) -> None:
    for name in ("__init__", "one", "two"):
        save(laptop.project / f"old/{name}.py", f"VALUE = {name!r}\n")
    with laptop.linked(), notebook(laptop) as kernel:
        assert kernel.value("import old.one; old.one.VALUE") == "'one'"
        (laptop.project / "old").rename(laptop.project / "new")
        assert kernel.value("import new.one; new.one.VALUE") == "'one'"
        assert "ModuleNotFoundError" in kernel.run("import old.two").error
        save(laptop.project / "new/one.py", "VALUE = 2\n")
        assert kernel.value("new.one.VALUE") == "2"


def test_modules_that_are_not_synced_are_looked_after_as_well(laptop: Laptop) -> None:
    save(laptop.project / ".gitignore", "made.py\n")
    with laptop.linked(), notebook(laptop) as kernel:
        save(laptop.there / "made.py", "VALUE = 1\n")
        assert kernel.value("import made; made.VALUE") == "1"
        save(laptop.there / "made.py", "VALUE = 2\n")
        assert kernel.value("made.VALUE") == "2"
        save(laptop.project / ".gitignore", "# nothing\n")
        save(laptop.there / "made.py", "VALUE = 3\n")
        assert kernel.value("made.VALUE") == "3"


def test_each_cell_says_on_which_revision_it_ran(laptop: Laptop) -> None:
    save(laptop.project / "module.py", "VALUE = 1\n")
    with laptop.linked(), notebook(laptop) as kernel:
        kernel.run("import module, towline")
        save(laptop.project / "module.py", "VALUE = 2\n")
        first = kernel.run("towline.revision()")
        save(laptop.project / "module.py", "VALUE = 3\n")
        second = kernel.run("towline.revision()")
        old, new = int(first.result), int(second.result)
        assert new == old + 1
        assert first.metadata["towline"] == {"revisions": {"proj": old}}
        assert second.metadata["towline"] == {"revisions": {"proj": new}}
        where = kernel.run("%towline where").stdout
        assert f"proj {old}\n" in where
        assert f"proj {new}\n" in where
        wait_until(lambda: laptop.run("show", str(new)).returncode == 0, "the past is written")
        assert laptop.run("show", str(old), "module.py").stdout == "VALUE = 2\n"
        assert laptop.run("show", str(new)).stdout == "changed  module.py\n"
        told = laptop.run("diff", str(old), str(new)).stdout
        assert "-VALUE = 2\n+VALUE = 3\n" in told
        (event,) = laptop.tell("diff", str(old), str(new))
        assert (event["path"], event["change"]) == ("module.py", "changed")
        assert laptop.run("show", "999").returncode == 2


def test_while_the_laptop_is_away_cells_run_and_say_so(laptop: Laptop) -> None:
    save(laptop.project / "module.py", "VALUE = 1\n")
    with notebook_of_a_link(laptop) as kernel:
        kernel.run("import module")
        wait_until(lambda: kernel.run("1").stderr != "", "the agent knows that the laptop left")
        ran = kernel.run("module.VALUE")
        assert ran.result == "1"
        assert "the laptop is not connected since" in ran.stderr
        assert "running revision 1\n" in ran.stderr
        save(laptop.there / "module.py", "VALUE = 5\n")  # What is changed here counts all the same.
        assert kernel.value("module.VALUE") == "5"
        kernel.run("%towline policy strict")
        assert "cell NOT run: the laptop is not connected" in kernel.run("1").error
        kernel.run("%towline policy auto")
        save(laptop.project / "other.py", "VALUE = 2\n")
        with laptop.linked():  # Another engine: the kernel goes on without a hand.
            wait_until(lambda: kernel.run("1").said == "", "the kernel is in step again")
            assert kernel.value("import other; other.VALUE") == "2"


@contextmanager
def notebook_of_a_link(laptop: Laptop) -> Generator[Kernel]:
    """A kernel whose engine has ended since it was loaded."""
    link = laptop.start()
    link.wait_for("ready")
    with notebook(laptop) as kernel:
        assert link.end() == 0
        yield kernel


def test_a_laptop_that_does_not_answer_stops_the_cell(laptop: Laptop) -> None:
    save(laptop.project / "module.py", "VALUE = 1\n")
    with laptop.linked() as link, notebook(laptop) as kernel:
        kernel.run("import module")
        os.kill(link.pid, signal.SIGSTOP)
        try:
            save(laptop.project / "module.py", "VALUE = 2\n")
            ran = kernel.run("module.VALUE")
            assert ran.error.startswith("towline: cell NOT run: the laptop did not answer in time")
            assert ran.stdout == "", "what was said while it waited is gone"
            waiting = kernel.send("module.VALUE")
            wait_until(lambda: "waiting for" in kernel.heard(), "it says that it waits")
            kernel.interrupt()
            assert "cell NOT run: interrupted" in kernel.collect(waiting).error
            kernel.run("%towline policy warn")
            ran = kernel.run("module.VALUE")
            assert ran.result == "1"
            assert "running revision 1" in ran.stderr
        finally:
            os.kill(link.pid, signal.SIGCONT)
        kernel.run("%towline policy strict")
        wait_until(lambda: kernel.run("module.VALUE").result == "2", "it is in step again")


def test_a_file_that_nobody_saved_is_no_fault_of_the_laptop(laptop: Laptop) -> None:
    with laptop.linked(), notebook(laptop) as kernel:
        ran = kernel.run("import towline; towline.wait_for('labels.csv', 0.5)")
        assert "labels.csv is not here after 0.5 s: nobody has saved it" in ran.error


def test_an_agent_that_dies_is_replaced_under_a_kernel(laptop: Laptop) -> None:
    save(laptop.project / "module.py", "VALUE = 1\n")
    with laptop.linked() as link, notebook(laptop) as kernel:
        kernel.run("import module")
        mark = link.mark()
        os.kill(laptop.agent(), signal.SIGKILL)
        save(laptop.project / "module.py", "VALUE = 2\n")
        link.wait_for("ready", after=mark)
        ran = kernel.run("module.VALUE")
        assert (ran.result, ran.said) == ("2", "")


def test_two_kernels_and_a_restart(laptop: Laptop) -> None:
    save(laptop.project / "module.py", "VALUE = 1\n")
    with laptop.linked(), notebook(laptop) as one, notebook(laptop) as two:
        for kernel in (one, two):
            kernel.run("import module")
        save(laptop.project / "module.py", "VALUE = 2\n")
        assert (one.value("module.VALUE"), two.value("module.VALUE")) == ("2", "2")
        one.restart()
        assert "towline: revision" in one.run(LOAD).stdout
        save(laptop.project / "module.py", "VALUE = 3\n")
        values = [kernel.value("import module; module.VALUE") for kernel in (one, two)]
        assert values == ["3", "3"]


def test_two_workspaces_in_one_kernel(laptop: Laptop, short_path: Path) -> None:
    save(laptop.project / "module.py", "VALUE = 1\n")
    with laptop_in(short_path / "other", laptop.machine) as other:
        save(other.project / "another.py", "VALUE = 1\n")
        with (
            laptop.linked(),
            other.linked("machine:second", "--name", "second"),
            kernel_in(laptop.machine.home, home_of(laptop)) as kernel,
        ):
            assert "several workspaces are linked: proj, second" in kernel.run(LOAD).stdout
            assert "revision" in kernel.run("%towline use proj").stdout
            assert "revision" in kernel.run("%towline use second").stdout
            kernel.run("import module, another")
            for value in ("2", "3"):
                save(laptop.project / "module.py", f"VALUE = {value}\n")
                save(other.project / "another.py", f"VALUE = {value}\n")
                assert kernel.value("module.VALUE, another.VALUE") == f"({value}, {value})"


def test_a_kernel_that_was_there_first_takes_the_workspace_up(laptop: Laptop) -> None:
    save(laptop.project / "module.py", "VALUE = 1\n")
    with laptop.linked():
        pass
    os.kill(laptop.agent(), signal.SIGTERM)
    wait_until(lambda: not laptop.agents(), "the agent has ended")
    with kernel_in(laptop.machine.home, home_of(laptop)) as kernel:
        assert "no workspace is linked" in kernel.run(LOAD).stdout
        with laptop.linked():
            ran = kernel.run("import module; module.VALUE")
            assert "towline: revision" in ran.stdout
            assert ran.result == "1"


def test_a_group_is_loaded_whole_or_not_yet(laptop: Laptop) -> None:
    """What is too large to go at once is never seen by half, also where it comes meanwhile."""
    count, size = 40, 60_000
    for number in range(count):
        save(laptop.project / f"m{number}.py", f"VALUE = 0\n# {os.urandom(size // 2).hex()}\n")
    names = ", ".join(f"m{number}" for number in range(count))
    with laptop.linked(), notebook(laptop) as kernel:
        kernel.run(f"import {names}\nmodules = [{names}]")
        for value in range(1, 4):
            for number in range(count):
                text = f"VALUE = {value}\n# {os.urandom(size // 2).hex()}\n"
                save(laptop.project / f"m{number}.py", text)
            ran = kernel.run("{module.VALUE for module in modules}")
            assert ran.result == f"{{{value}}}", ran
