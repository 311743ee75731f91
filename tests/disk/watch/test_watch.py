"""Every kind of watch on real directories: what happens there is told, whatever the timing.

A cookie ends each wait: it comes back when everything before it was told.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from towline.disk import watch as watch_module
from towline.disk.watch import ModeKind, Seen, Watch, open_watch
from towline.disk.watch.inotify import Inotify, limit_of
from towline.disk.watch.poller import POLL_LONGEST_S, POLL_SHORTEST_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's inotify")

PATIENCE_S = 20  # Waited for in full only if something was lost.


class Time:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A root with a watch on it."""

    def __init__(self, root: Path, limit: int | None = None) -> None:
        self.root = root
        self.time = Time()
        self.skipped = {"skipped"}
        self.watch = open_watch(root, self.skipped.__contains__, now=self.time, limit=limit)
        self.watch.start()
        self.drain()

    def drain(self) -> Seen:
        """Return, as one, everything that happened before this call."""
        cookie = self.watch.place_cookie()
        seens: list[Seen] = []
        while not any(cookie in seen.cookies for seen in seens):
            if not self.is_due():
                ready, _, _ = select.select([self.watch], [], [], PATIENCE_S)
                assert ready, "the cookie was lost"
            seens.append(self.watch.read())
        return together(seens)

    def is_due(self) -> bool:
        deadline = self.watch.deadline()
        return deadline is not None and deadline <= self.time.now

    def poll(self) -> Seen:
        """Let the time pass until polling is due, and do all of it."""
        self.time.now += POLL_LONGEST_S
        seens: list[Seen] = []
        while self.is_due():
            seens.append(self.watch.read())
        return together(seens)

    def make(self, path: str, content: str = "") -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        return place


def together(seens: list[Seen]) -> Seen:
    paths = frozenset[str]().union(*(seen.paths for seen in seens))
    busy = [seen.git_busy for seen in seens if seen.git_busy is not None]
    return Seen(
        paths=paths,
        writing=frozenset[str]().union(*(seen.writing for seen in seens)) - paths,
        rescan=any(seen.rescan for seen in seens),
        root_gone=any(seen.root_gone for seen in seens),
        git_busy=busy[-1] if busy else None,
    )


Open = Callable[..., Watched]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Watch `tmp_path/root`; made by the test beforehand or empty."""
    watches: list[Watch] = []

    def open_it(limit: int | None = None) -> Watched:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        watched = Watched(root, limit)
        watches.append(watched.watch)
        return watched

    yield open_it
    for watch in watches:
        watch.close()


@pytest.fixture(params=["notified", "mixed", "polled"])
def watched(
    request: pytest.FixtureRequest, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> Watched:
    """An empty root under each kind of watch (cookies make the polled ones look at once)."""
    if request.param == "polled":
        monkeypatch.setattr(watch_module, "_notices", lambda *_: False)
    return opened(limit=3 if request.param == "mixed" else None)


def make_tree(top: Path, directories: int = 20, files: int = 3) -> set[str]:
    """Make a tree; return the paths of everything in it, relative to where `top` is."""
    for number in range(directories):
        directory = top / f"d{number % 4}" / f"e{number}"
        directory.mkdir(parents=True)
        for file in range(files):
            (directory / f"f{file}").write_text("x")
    return everything_in(top, top.parent)


def everything_in(top: Path, relative_to: Path) -> set[str]:
    return {str(path.relative_to(relative_to)) for path in [top, *top.rglob("*")]}


# What every kind of watch tells.


def test_a_quiet_root_has_nothing_to_tell(watched: Watched) -> None:
    assert watched.drain() == Seen()


def test_a_new_file_is_told(watched: Watched) -> None:
    watched.make("a.py", "1")
    assert watched.drain().paths == {"a.py"}
    assert watched.drain().paths <= {"a.py"}


def test_every_edit_is_told(watched: Watched) -> None:
    place = watched.make("a.py", "0")
    watched.drain()
    for n in range(1, 6):
        place.write_text(str(n))
        assert watched.drain().paths == {"a.py"}


def test_an_atomic_save_is_told_under_the_final_name(watched: Watched) -> None:
    watched.make("src/a.py", "old")
    watched.drain()
    watched.make("src/.a.py.tmp", "new").rename(watched.root / "src/a.py")
    assert "src/a.py" in watched.drain().paths


@pytest.mark.parametrize("remove", [os.unlink, lambda path: os.rename(path, path + "2")])
def test_a_file_that_went_is_told(watched: Watched, remove: Callable[[str], None]) -> None:
    place = watched.make("src/a", "1")
    watched.drain()
    remove(str(place))
    assert "src/a" in watched.drain().paths


def test_links_pipes_and_modes_are_told(watched: Watched) -> None:
    place = watched.make("file", "1")
    mode = watched.make("mode", "1")
    watched.drain()
    (watched.root / "symlink").symlink_to("nowhere")
    os.link(place, watched.root / "hard")
    os.mkfifo(watched.root / "pipe")
    mode.chmod(0o755)
    assert watched.drain().paths >= {"symlink", "hard", "pipe", "mode"}


def test_a_tree_renamed_in_is_told_whole_and_watched(watched: Watched, tmp_path: Path) -> None:
    expected = make_tree(tmp_path / "tree")
    (tmp_path / "tree").rename(watched.root / "tree")
    assert watched.drain().paths >= expected
    watched.make("tree/d1/e1/f1", "changed")
    assert "tree/d1/e1/f1" in watched.drain().paths


def test_a_tree_renamed_within_is_followed(watched: Watched) -> None:
    make_tree(watched.root / "old")
    watched.drain()
    (watched.root / "old").rename(watched.root / "new")
    seen = watched.drain()
    assert seen.paths >= {"old"} | everything_in(watched.root / "new", watched.root)
    watched.make("new/d1/e1/f1", "changed")
    watched.make("new/d2/e2/g", "made")
    assert watched.drain().paths >= {"new/d1/e1/f1", "new/d2/e2/g"}


def test_a_rename_is_told_to_be_all_where_it_is(watched: Watched) -> None:
    make_tree(watched.root / "old")
    watched.drain()
    if watched.watch.mode.kind is not ModeKind.NOTIFIED:
        pytest.skip("needs a watch that is notified: one that polls knows no renames")
    (watched.root / "old").rename(watched.root / "new")
    assert watched.watch.read().is_rename
    watched.make("file.tmp", "saved as editors do")
    (watched.root / "file.tmp").rename(watched.root / "file")
    assert watched.watch.read().is_rename
    watched.make("other", "1")
    (watched.root / "file").rename(watched.root / "again")
    assert not watched.watch.read().is_rename
    (watched.root / "again").rename(watched.root / "file")
    watched.make("other", "2")
    assert not watched.watch.read().is_rename
    watched.make("other", "3")
    assert not watched.watch.read().is_rename


def test_a_tree_moved_to_and_fro_ends_where_it_is(watched: Watched) -> None:
    make_tree(watched.root / "a")
    watched.drain()
    for _ in range(10):
        (watched.root / "a").rename(watched.root / "b")
        (watched.root / "a").mkdir()
        (watched.root / "a").rename(watched.root / "c")
        (watched.root / "b").rename(watched.root / "c/b")
        (watched.root / "c/b").rename(watched.root / "a")
        (watched.root / "c").rmdir()
    watched.drain()
    watched.make("a/d3/e3/f1", "changed")
    seen = watched.drain()
    assert "a/d3/e3/f1" in seen.paths
    assert not any(path.startswith(("b", "c")) for path in seen.paths)


def test_a_tree_moved_out_is_no_longer_told_of(watched: Watched, tmp_path: Path) -> None:
    make_tree(watched.root / "tree")
    watched.drain()
    before = watched.watch.statistics()
    (watched.root / "tree").rename(tmp_path / "away")
    assert "tree" in watched.drain().paths
    (tmp_path / "away/d1/e1/f1").write_text("changed")
    assert watched.drain().paths == set()
    after = watched.watch.statistics()
    assert before.watched + before.polled > 20
    assert after.watched + after.polled == 1


def test_a_tree_that_is_deleted_is_told(watched: Watched) -> None:
    make_tree(watched.root / "tree")
    watched.drain()
    shutil.rmtree(watched.root / "tree")
    assert "tree" in watched.drain().paths
    assert watched.watch.statistics().watched + watched.watch.statistics().polled == 1


def test_a_directory_replaced_by_a_file_and_back(watched: Watched) -> None:
    watched.make("x/y", "1")
    watched.drain()
    shutil.rmtree(watched.root / "x")
    watched.make("x", "now a file")
    assert watched.drain().paths >= {"x"}
    (watched.root / "x").unlink()
    watched.make("x/y", "2")
    assert watched.drain().paths >= {"x", "x/y"}
    watched.make("x/y", "3")
    assert watched.drain().paths == {"x/y"}


def test_a_name_that_is_not_utf8_is_told(watched: Watched) -> None:
    name = os.fsdecode(b"caf\xe9")
    watched.make(f"{name}/{name}", "1")
    assert f"{name}/{name}" in watched.drain().paths


def test_a_directory_that_became_readable_is_watched(watched: Watched) -> None:
    directory = watched.root / "closed"
    directory.mkdir(mode=0)
    watched.drain()
    directory.chmod(0o700)
    watched.drain()
    watched.make("closed/a", "1")
    assert "closed/a" in watched.drain().paths


def test_what_can_be_reached_in_a_directory_later_is_watched(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that may be read and not searched: its names are known, and no more."""
    watched = opened()
    plain = Inotify.add

    def refuse(inotify: Inotify, place: str, mask: int) -> int:  # Root may search everything.
        if "/closed/" in place and not (watched.root / "closed").stat().st_mode & stat.S_IXUSR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)
        return plain(inotify, place, mask)

    monkeypatch.setattr(Inotify, "add", refuse)
    (watched.root / "closed").mkdir(mode=0o600)
    watched.make("closed/a/b/c", "1")
    watched.drain()
    (watched.root / "closed").chmod(0o700)
    assert "closed/a/b" in watched.drain().paths
    watched.make("closed/a/b/c", "2")
    assert watched.drain().paths == {"closed/a/b/c"}


def test_nothing_in_a_skipped_directory_is_told(watched: Watched) -> None:
    watched.make("skipped/deep/a", "1")
    assert watched.drain().paths == {"skipped"}
    watched.make("skipped/deep/b", "1")
    assert watched.drain().paths == set()


def test_nothing_in_towlines_own_directory_is_told(watched: Watched) -> None:
    watched.make(".towline/stage/a", "1")
    assert watched.drain().paths == set()


def test_the_skip_rule_is_asked_again_on_rewatch(watched: Watched) -> None:
    watched.make("skipped/deep/a", "1")
    watched.make("kept/a", "1")
    watched.drain()
    watched.skipped.symmetric_difference_update({"skipped", "kept"})
    watched.watch.rewatch()
    watched.drain()
    watched.make("skipped/deep/a", "2")
    watched.make("kept/a", "2")
    assert watched.drain().paths == {"skipped/deep/a"}


def test_git_at_work_is_told_and_nothing_else_of_git(watched: Watched) -> None:
    (watched.root / ".git").mkdir()
    assert watched.drain().git_busy in (None, False)
    lock = watched.make(".git/index.lock")
    watched.make(".git/objects/aa/bb", "x")
    seen = watched.drain()
    assert seen.git_busy is True
    assert seen.paths <= {".git"}
    assert watched.drain().git_busy is None
    lock.rename(watched.root / ".git/index")
    assert watched.drain().git_busy is False


def test_a_git_file_is_an_ordinary_file(watched: Watched) -> None:
    watched.make(".git", "gitdir: elsewhere")
    seen = watched.drain()
    assert seen.paths == {".git"}
    assert seen.git_busy is None


def test_a_root_that_is_moved_away_is_told(watched: Watched, tmp_path: Path) -> None:
    watched.root.rename(tmp_path / "elsewhere")
    watched.time.now += POLL_LONGEST_S
    assert watched.watch.read().root_gone


def test_a_root_that_is_deleted_is_told(watched: Watched) -> None:
    shutil.rmtree(watched.root)
    watched.time.now += POLL_LONGEST_S
    assert watched.watch.read().root_gone


RACE = """
import os, sys
top, files = sys.argv[1], 0
for number in range(300):
    directory = os.path.join(top, *(f"n{digit}" for digit in str(number)), f"d{number}")
    os.makedirs(directory)
    for file in range(5):
        with open(os.path.join(directory, f"f{file}"), "w") as out:
            out.write("x")
"""


def test_nothing_is_missed_in_a_tree_made_fast(watched: Watched) -> None:
    maker = subprocess.Popen([sys.executable, "-S", "-c", RACE, str(watched.root)])
    seens: list[Seen] = []
    while maker.poll() is None:
        seens.append(watched.watch.read())
    seens.append(watched.drain())
    assert maker.returncode == 0
    made = everything_in(watched.root, watched.root)
    expected = {path for path in made if not path.startswith(".")}
    assert len([path for path in expected if "/f" in path]) == 1_500
    assert expected - together(seens).paths == set()


def test_the_cookie_comes_after_all_that_came_before(watched: Watched) -> None:
    for round_ in range(20):
        expected = {f"{round_}-{number}" for number in range(50)}
        for path in expected:
            watched.make(path, "x")
        assert watched.drain().paths >= expected


class Copy:
    """What someone knows of a root who looks only at what is told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.known: dict[str, str] = {}

    def look(self, seen: Seen) -> None:
        for path in seen.paths | seen.writing:
            self.forget(path)
            self.take(self.root / path)

    def forget(self, path: str) -> None:
        for known in [known for known in self.known if known.startswith(f"{path}/")]:
            del self.known[known]
        self.known.pop(path, None)

    def take(self, place: Path) -> None:
        with suppress(OSError):
            if place.is_dir():
                self.known[str(place.relative_to(self.root))] = "directory"
                for inside in place.iterdir():
                    self.take(inside)
            else:
                self.known[str(place.relative_to(self.root))] = place.read_text()


def change_at_random(random: Random, root: Path, outside: Path) -> None:
    names = "abcd"
    places = [root / "/".join(random.choices(names, k=random.randint(1, 4))) for _ in range(2)]
    with suppress(OSError):  # Most often something stands in the way: then nothing happens.
        which = random.randrange(7)
        if which <= 2:
            places[0].parent.mkdir(parents=True, exist_ok=True)
            places[0].write_text(str(random.randrange(10)))
        elif which == 3:
            places[0].rename(places[1])
        elif which == 4:
            places[0].rename(outside / random.choice(names))
        elif which == 5:
            (outside / random.choice(names)).rename(places[0])
        else:
            shutil.rmtree(places[0])


@pytest.mark.parametrize("seed", range(4))
def test_who_looks_only_at_what_is_told_knows_the_tree(
    watched: Watched, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311
    copy = Copy(watched.root)
    (tmp_path / "outside").mkdir()
    for _ in range(40):
        for _ in range(random.randint(1, 20)):
            change_at_random(random, watched.root, tmp_path / "outside")
        if random.random() < 0.5:
            copy.look(watched.watch.read())
        else:
            copy.look(watched.drain())
    copy.look(watched.drain())
    actual = Copy(watched.root)
    for place in watched.root.iterdir():
        if place.name != ".towline":
            actual.take(place)
    assert copy.known == actual.known


# What only notification tells.


def test_a_file_being_written_is_told_as_such_until_it_is_closed(opened: Open) -> None:
    watched = opened()
    with open(watched.root / "log", "w") as file:
        file.write("a line")
        file.flush()
        assert watched.drain() == Seen(writing=frozenset({"log"}))
        os.fchmod(file.fileno(), 0o600)
    assert watched.drain().paths == {"log"}


def test_a_file_made_anew_is_not_told_before_it_is_written(opened: Open) -> None:
    watched = opened()
    place = watched.make("a", "old")
    watched.drain()
    place.unlink()
    with open(place, "w"):
        assert watched.drain() == Seen(writing=frozenset({"a"}))
    assert watched.drain().paths == {"a"}


def test_a_missing_cookie_directory_is_made_again(opened: Open) -> None:
    watched = opened()
    shutil.rmtree(watched.root / ".towline/cookies")
    watched.make("a", "1")
    assert watched.drain().paths == {"a"}
    shutil.rmtree(watched.root / ".towline")
    watched.make("b", "1")
    assert watched.drain().paths == {"b"}
    assert (watched.root / ".towline/.gitignore").read_text() == "*\n"


def test_cookies_leave_nothing_behind_not_even_after_a_crash(opened: Open) -> None:
    opened().watch.place_cookie()
    watched = opened()
    assert list((watched.root / ".towline/cookies").iterdir()) == []


def test_an_overflow_asks_for_a_rescan_and_rewatch_brings_all_in_line(opened: Open) -> None:
    watched = opened()
    (watched.root / "old").mkdir()
    watched.drain()
    for number in range((limit_of("max_queued_events") or 16_384) // 2 + 1_000):
        os.close(os.open(watched.root / f"f{number}", os.O_CREAT | os.O_WRONLY))
        os.unlink(watched.root / f"f{number}")
    (watched.root / "old").rename(watched.root / "new")  # Its records are lost.
    watched.make("made/later/a", "1")
    cookie = watched.watch.place_cookie()
    seens = [watched.watch.read()]
    while select.select([watched.watch], [], [], 0)[0]:
        seens.append(watched.watch.read())
    assert together(seens).rescan
    assert watched.watch.statistics().overflows == 1
    assert not any(cookie in seen.cookies for seen in seens)
    watched.watch.rewatch()
    assert cookie in watched.watch.read().cookies
    watched.make("new/a", "1")
    watched.make("made/later/a", "2")
    assert watched.drain().paths == {"new/a", "made/later/a"}


def test_more_paths_than_are_worth_listing_become_a_rescan(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = opened()
    monkeypatch.setattr("towline.disk.watch.base.SEEN_MAX", 10)
    make_tree(watched.root / "tree")
    seen = watched.drain()
    assert seen.rescan
    assert len(seen.paths) <= 10


# What the lack of watches changes.


def test_without_enough_watches_the_rest_is_polled_and_people_are_told(opened: Open) -> None:
    watched = opened(limit=8)
    assert watched.watch.mode.kind is ModeKind.NOTIFIED
    make_tree(watched.root / "tree")
    watched.drain()
    mode = watched.watch.mode
    assert mode.kind is ModeKind.MIXED
    assert mode.sentence == (
        "watching 7 of 26 directories (fs.inotify.max_user_watches = 8); the rest is polled each "
        "1\u201310 s; raise it with: sudo sysctl fs.inotify.max_user_watches=524288"
    )


def test_a_change_in_a_polled_directory_is_found_by_and_by(opened: Open) -> None:
    watched = opened(limit=8)
    make_tree(watched.root / "tree")
    watched.drain()
    watched.poll()
    places = sorted(str(path) for path in watched.root.glob("tree/*/*/f1"))
    for place in places:
        Path(place).write_text("changed")
    seen = watched.poll()
    assert seen.paths >= {os.path.relpath(place, watched.root) for place in places}


def test_a_polled_directory_where_someone_works_gets_a_watch(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towline.disk.watch.poller.RACY_NS", 0)  # Passes are seconds apart.
    watched = opened(limit=8)
    make_tree(watched.root / "tree")
    watched.drain()
    for _ in range(3):
        watched.make("tree/d3/e19/f1", "changed")
        watched.poll()
    watched.poll()
    watched.make("tree/d3/e19/f1", "changed again")
    assert watched.watch.read().paths == {"tree/d3/e19/f1"}  # No time has passed.
    assert watched.watch.statistics().watched == 7


def test_a_watched_directory_that_leaves_a_polled_one_and_comes_back_is_found(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towline.disk.watch.poller.RACY_NS", 0)
    watched = opened(limit=3)  # The cookies, the root and one more.
    watched.make("polled/watched/a", "1")
    watched.drain()
    watched.make("polled/watched/a", "22")
    watched.poll()
    watched.make("polled/watched/a", "333")
    assert watched.watch.read().paths == {"polled/watched/a"}
    (watched.root / "polled/watched").rename(tmp_path / "away")
    assert watched.watch.read().paths == {"polled/watched"}
    (tmp_path / "away").rename(watched.root / "polled/watched")
    assert watched.poll().paths == {"polled/watched", "polled/watched/a"}
    watched.make("polled/watched/a", "4444")
    assert watched.drain().paths == {"polled/watched/a"}


def test_a_cookie_comes_back_although_nothing_is_left_to_poll(opened: Open) -> None:
    watched = opened(limit=3)
    watched.make("watched/polled/a", "1")
    watched.drain()
    cookie = watched.watch.place_cookie()
    shutil.rmtree(watched.root / "watched")
    assert cookie in watched.watch.read().cookies
    assert watched.watch.statistics().polled == 0


def test_no_change_is_lost_while_watches_move_from_directory_to_directory(opened: Open) -> None:
    watched = opened(limit=5)
    make_tree(watched.root / "tree")
    watched.drain()
    for number in range(60):
        paths = {f"tree/d{n % 4}/e{n}/f{number}" for n in (number % 20, number * 7 % 20)}
        for path in paths:
            watched.make(path, str(number))
        assert watched.drain().paths >= paths


def test_polling_slows_down_in_quiet_times_and_is_prompt_after_a_change(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_notices", lambda *_: False)
    watched = opened()
    for _ in range(10):
        watched.poll()
    assert watched.watch.deadline() == watched.time.now + POLL_LONGEST_S
    watched.make("a", "1")
    assert watched.poll().paths == {"a"}
    assert watched.watch.deadline() == watched.time.now + POLL_SHORTEST_S


@pytest.mark.parametrize(("racy_ns", "told"), [(0, set()), (10**18, {"a"})])
def test_a_file_that_may_have_changed_within_the_grain_of_the_clock_is_told_again(
    opened: Open, monkeypatch: pytest.MonkeyPatch, racy_ns: int, told: set[str]
) -> None:
    monkeypatch.setattr(watch_module, "_notices", lambda *_: False)
    monkeypatch.setattr("towline.disk.watch.poller.RACY_NS", racy_ns)
    watched = opened()
    watched.make("a", "1")
    assert watched.drain().paths == {"a"}
    assert watched.drain().paths == told


def test_polling_is_done_in_slices(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "_notices", lambda *_: False)
    monkeypatch.setattr("towline.disk.watch.poller.POLL_SLICE", 10)
    watched = opened()
    expected = make_tree(watched.root / "tree")
    assert watched.drain().paths == expected
    watched.time.now += POLL_LONGEST_S
    watched.watch.read()
    assert watched.is_due()  # More of the same pass is to be done at once.
    watched.poll()
    assert not watched.is_due()


def test_a_silent_file_system_is_polled_and_people_are_told(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_notices", lambda *_: False)
    mode = opened().watch.mode
    assert mode.kind is ModeKind.POLLED
    assert "gives no notice of changes" in mode.sentence


def test_without_a_single_watch_all_is_polled_and_people_are_told(opened: Open) -> None:
    mode = opened(limit=0).watch.mode
    assert mode.kind is ModeKind.POLLED
    assert "no inotify watch is left (fs.inotify.max_user_watches = 0)" in mode.sentence


def test_without_an_inotify_instance_all_is_polled_and_people_are_told(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(limit: int | None = None) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(watch_module, "Inotify", refuse)
    watched = opened()
    assert watched.watch.mode.kind is ModeKind.POLLED
    assert "fs.inotify.max_user_instances" in watched.watch.mode.sentence
    watched.make("a", "1")
    assert watched.drain().paths == {"a"}
