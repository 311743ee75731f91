"""What the machine saves does not decide what runs on the laptop, nor what it sends."""

from __future__ import annotations

from tests.end_to_end.laptop import Laptop, save, wait_content, wait_until

RUNS = '[tool.towline.ssh]\noptions = ["ProxyCommand=touch {mark}"]\n'


def test_settings_saved_on_the_machine_run_nothing_here(laptop: Laptop) -> None:
    mark = laptop.directory / "mark"
    save(laptop.project / "pyproject.toml", "[project]\n")
    with laptop.linked() as link:
        save(laptop.there / "pyproject.toml", RUNS.format(mark=mark))
        told = link.wait_for("problem", path="pyproject.toml", side="laptop")
        assert "ssh" in told["reason"]
        laptop.run("ssh", "true")
        assert not mark.exists()
        assert (laptop.project / "pyproject.toml").read_text() == "[project]\n"
        save(laptop.there / "pyproject.toml", "[project]\nname = 'x'\n")
        wait_content(laptop.project / "pyproject.toml", "[project]\nname = 'x'\n")
        wait_until(lambda: laptop.status()["problems"] == 0, "the problem is over")


def test_an_ignore_file_saved_on_the_machine_sends_nothing(laptop: Laptop) -> None:
    save(laptop.project / ".gitignore", ".env\n")
    save(laptop.project / ".env", "TOKEN=1\n")
    with laptop.linked() as link:
        save(laptop.there / ".gitignore", "")
        told = link.wait_for("problem", path=".gitignore", side="laptop")
        assert ".env would be sent" in told["reason"]
        laptop.flush()
        assert not (laptop.there / ".env").exists()
        save(laptop.project / ".gitignore", "")  # As there: now the laptop says so itself.
        wait_content(laptop.there / ".env", "TOKEN=1\n")
