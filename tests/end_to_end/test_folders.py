"""Several folders of a project, each going its own way; and a plan that is held, then accepted."""

from __future__ import annotations

from tests.end_to_end.laptop import Laptop, read, save, wait_until

CONFIGURATION = """\
path = "~/work"
sync = [
    { source = "src", destination = "code" },
    { source = "out", destination = "~/results", direction = "pull" },
]
"""


def test_each_folder_goes_where_and_how_it_says(laptop: Laptop) -> None:
    laptop.configure(CONFIGURATION)
    save(laptop.project / "src/a.py", "code\n")
    save(laptop.project / "out/mine.txt", "stays here\n")
    save(laptop.project / "beside.py", "is in neither\n")
    home = laptop.machine.home
    with laptop.linked():
        assert read(home / "work/code/a.py") == b"code\n"
        save(home / "results/metrics.json", "{}\n")
        wait_until(lambda: (laptop.project / "out/metrics.json").exists(), "the result is here")
        save(laptop.project / "src/a.py", "edited\n")
        laptop.flush()
        assert read(home / "work/code/a.py") == b"edited\n"
        (explained,) = laptop.tell("explain", "out/metrics.json")
        assert "pull" in explained["reason"]
        assert "in none of the folders" in laptop.run("explain", "beside.py").stdout
    assert not (home / "results/mine.txt").exists()
    assert not (home / "work/beside.py").exists()


def test_an_accepted_plan_is_carried_out_at_once(laptop: Laptop) -> None:
    for number in range(5):
        save(laptop.project / f"f{number}", f"{number}\n")
    with laptop.linked() as link:
        mark = link.mark()
        for path in laptop.there.iterdir():
            if path.is_file():
                path.unlink()
        link.wait_for("held", after=mark)
        assert len(list(laptop.project.glob("f*"))) == 5
        laptop.tell("accept")
        wait_until(lambda: not list(laptop.project.glob("f*")), "the laptop's are gone, too")
        assert len(link.named("held")) == 1


def test_a_second_engine_for_a_folder_is_refused(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "x\n")
    with laptop.linked():
        refused = laptop.run("link", "--once", "-F", laptop.machine.config, "root@machine")
        assert refused.returncode == 75
        assert "kept in step by another engine" in refused.stderr
