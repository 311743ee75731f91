"""A real link, two users at work, and a bad network, for as long as asked.

    python -m bench.soak --minutes 30 --json soak.json
    python -m bench.soak --from soak.json --write     # the table and the picture in the docs

The engine, ssh, sshd and the agent are the real ones, in the two namespaces of a WAN link. Every
minute or two the users pause and the network is well: then both sides must come to hold the same,
and every content that was ever saved must be found. Exits with 1 if one is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from bench import page
from bench.ground import fast_directory
from bench.soak.agenda import Agenda
from bench.soak.editor import Editor
from bench.soak.ledger import Ledger
from bench.soak.story import Story, picture, read_story, table
from bench.soak.vitals import vitals_of
from bench.soak.weather import Weather
from lab.wan import wan
from lab.wan import why_not as why_no_wan
from tests.end_to_end.laptop import Laptop, Link, contents, difference, laptop_in, save
from tests.end_to_end.sshd import machine_in
from tests.end_to_end.sshd import why_not as why_no_machine

DOCS = Path(__file__).parents[2] / "docs"
FIRST_SAVES = 300
EDITS_PER_S = 2.0  # On each side.
TROUBLES_PER_S = 0.1
IN_PLACE_S = 0.3  # At most, from the first to the last byte of a save in place.
LOOK_EVERY_S = 2.0
CHECK_EVERY_S = 90.0
ALIKE_WITHIN_S = 120.0
COMPARE_EVERY_S = 0.5
REST_S = 2.0


class Soak:
    def __init__(self, laptop: Laptop, link: Link, weather: Weather, story: Story) -> None:
        self._laptop = laptop
        self._link = link
        self._weather = weather
        self._story = story
        self._chance = Random(story.seed)  # noqa: S311
        self._ledger = Ledger(self._chance)
        self._agenda = Agenda()
        self._began = time.monotonic()
        sides = (("laptop", laptop.project), ("machine", laptop.there))
        self._editors = [
            Editor(name, root, root.parent / "aside", self._ledger, self._chance)
            for name, root in sides
        ]

    def run(self, seconds: float, check_every_s: float) -> None:
        """Edit and disturb for so long, with a check now and then and one at the end."""
        ends_at = self._began + seconds
        self._editors[0].fill(FIRST_SAVES)
        while time.monotonic() < ends_at and self._story.is_well:
            for editor in self._editors:
                self._edit_later(editor)
            self._disturb_later()
            self._look_later()
            self._agenda.work_until(min(ends_at, time.monotonic() + check_every_s))
            self._check()
        self._tell()

    # -- What goes on -------------------------------------------------------------------------

    def _edit_later(self, editor: Editor) -> None:
        def edit() -> None:
            rest = editor.act()
            if rest is not None:
                self._agenda.after(self._chance.uniform(0, IN_PLACE_S), rest, owed=True)
            self._edit_later(editor)

        self._agenda.after(self._chance.expovariate(EDITS_PER_S), edit)

    def _disturb_later(self) -> None:
        def disturb() -> None:
            self._story.troubles.append(round(time.monotonic() - self._began, 1))
            if (undoing := self._weather.change()) is not None:
                self._agenda.after(*undoing, owed=True)
            self._disturb_later()

        self._agenda.after(self._chance.expovariate(TROUBLES_PER_S), disturb)

    def _look_later(self) -> None:
        def look() -> None:
            self._look(rests=False)
            self._ledger.sweep()
            self._look_later()

        self._agenda.after(LOOK_EVERY_S, look)

    def _look(self, *, rests: bool) -> None:
        agents = self._laptop.agents()
        files = len(contents_named(self._laptop.project))
        at_s = round(time.monotonic() - self._began, 1)
        agent = agents[0] if agents else 0
        self._story.looks.append(vitals_of(self._link.pid, agent, at_s, files, rests=rests))

    # -- What must hold -----------------------------------------------------------------------

    def _check(self) -> None:
        """With nobody at work and a good network: both sides alike, and nothing lost."""
        self._weather.clear()
        self._story.unlike = self._wait_alike()
        self._story.lost = self._ledger.missing(self._laptop.project, self._laptop.there)
        self._story.checks += 1
        time.sleep(REST_S)
        self._look(rests=True)
        look = self._story.looks[-1]
        print(
            f"{look.at_s:7.1f} s: {self._ledger.count:,} contents, {look.files} files, "
            f"engine {look.engine_memory / 1e6:.0f} MB {look.engine_descriptors} fds, "
            f"agent {look.agent_memory / 1e6:.0f} MB {look.agent_descriptors} fds, "
            f"{len(self._story.lost)} lost, {len(self._story.unlike)} unlike",
            flush=True,
        )

    def _wait_alike(self) -> list[str]:
        """Return in what the sides differ once they had their time; nothing, if all is well."""
        ends_at = time.monotonic() + ALIKE_WITHIN_S
        while True:
            self._accept_if_held()
            here, there = contents(self._laptop.project), contents(self._laptop.there)
            if here == there:
                return []
            if time.monotonic() > ends_at:
                return difference(here, there).splitlines()
            time.sleep(COMPARE_EVERY_S)

    def _accept_if_held(self) -> None:
        """Somebody looks at what was held, as an accident it might be, and lets it go on."""
        if len(self._link.named("held")) > self._story.holds:
            self._story.holds += 1
            self._laptop.run("accept")

    def _tell(self) -> None:
        story = self._story
        resumed = self._link.named("resumed")
        story.lasted_s = round(time.monotonic() - self._began, 1)
        story.edits = {editor.name: dict(editor.done) for editor in self._editors}
        story.weather = dict(self._weather.done)
        story.contents = self._ledger.count
        story.reconnects = len(resumed)
        story.new_lives = sum(event["new_life"] for event in resumed)
        story.conflicts = len(self._link.named("conflict"))


def contents_named(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if ".towline" not in path.parts]


def soak(seconds: float, seed: int, check_every_s: float = CHECK_EVERY_S) -> Story:
    """Run one soak. What it found is in the story; only what cannot be told raises."""
    story = Story(seed)
    with (
        tempfile.TemporaryDirectory(prefix="tws-", dir=fast_directory()) as made,
        wan(seed=seed) as way,
        machine_in(Path(made, "m"), link=way) as machine,
        laptop_in(Path(made, "laptop"), machine) as laptop,
    ):
        weather = Weather(way, laptop, Random(seed + 1))  # noqa: S311
        weather.clear()
        save(laptop.project / "a.py", "# The first file.\n")
        link = laptop.start()
        link.wait_for("ready")
        Soak(laptop, link, weather, story).run(seconds, check_every_s)
        assert link.end() == 0, link.story()
        assert "Traceback" not in link.stderr + laptop.agent_log(), link.story()
    return story


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen there")
    parser.add_argument(
        "--from", dest="given", type=Path, metavar="FILE", help="tell what it holds"
    )
    parser.add_argument("--write", action="store_true", help="write the page and the picture")
    options = parser.parse_args(argv)
    if reason := why_no_wan() or why_no_machine():
        print(f"no soak here: {reason}", file=sys.stderr)
        return 1
    story = read_story(options.given) if options.given else soak(options.minutes * 60, options.seed)
    if options.json:
        story.save(options.json)
    print(table(story), *story.lost, *story.unlike, sep="\n")
    if options.write:
        page.write_blocks(DOCS / "testing.md", {"soak": table(story)})
        (DOCS / "img/soak.svg").write_text(picture(story))
    return 0 if story.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
