"""Reading a log from a byte, from a line, and while it grows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.jobs.conftest import MAIN, SOURCE, WORKSPACE, Jobs
from towline.agent.jobs import follow
from towline.agent.jobs.follow import tail_offset


@pytest.mark.parametrize(
    ("content", "lines", "tail"),
    [
        (b"", 3, b""),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\nc\n", 0, b""),
        (b"a\n", 5, b"a\n"),
        (b"50%\r60%", 0, b""),
        (b"\n\n\n", 2, b"\n\n"),
    ],
)
def test_the_last_lines(tmp_path: Path, content: bytes, lines: int, tail: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert tail_offset(str(path), lines) == len(content) - len(tail)


@given(
    content=st.lists(st.sampled_from([b"a", b"bb", b"\n"]), max_size=40).map(b"".join),
    lines=st.integers(1, 8),
    part=st.integers(1, 7),
)
def test_the_last_lines_do_not_depend_on_how_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, lines: int, part: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "tail"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "TAIL_PART", part)
        got = content[tail_offset(str(path), lines) :]
    assert got == b"".join(content.splitlines(keepends=True)[-lines:])


def test_from_a_byte_on_nothing_else_is_said_on_standard_output(jobs: Jobs) -> None:
    job = jobs.sh("printf 0123456789")
    jobs.wait(job)
    done = jobs.run("log", WORKSPACE, "1", "--from", "4", "--follow", "yes")
    assert done.stdout == b"456789"
    assert json.loads(done.stderr)["end"]["state"] == "done"
    assert jobs.run("log", WORKSPACE, "1", "--from", "99").stdout == b""


def test_who_reads_no_more_ends_the_following(jobs: Jobs) -> None:
    jobs.sh("echo on; exec sleep 99")
    argv = [sys.executable, "-I", "-S", "-c", f"{MAIN} sys.exit(main(sys.argv[1:]))", str(SOURCE)]
    following = subprocess.Popen(
        [*argv, "job", "log", WORKSPACE, "1", "--follow", "yes"],
        stdout=subprocess.PIPE,
        env=jobs.environment,
    )
    assert following.stdout is not None
    assert following.stdout.readline() == b"on\n"
    following.stdout.close()
    assert following.wait(30) == 0


def test_nothing_is_missing_after_a_line_that_was_begun(jobs: Jobs) -> None:
    job = jobs.sh("printf 60%%; while [ ! -e go ]; do sleep 0.05; done; printf done")
    argv = [sys.executable, "-I", "-S", "-c", f"{MAIN} sys.exit(main(sys.argv[1:]))", str(SOURCE)]
    while job.log_size < 3:
        pass
    following = subprocess.Popen(
        [*argv, "job", "log", WORKSPACE, "1", "--lines", "0", "--follow", "yes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=jobs.environment,
    )
    assert following.stderr is not None
    assert json.loads(following.stderr.readline()) == {"begins": 3}
    (jobs.folder / "go").touch()
    assert following.communicate(timeout=30)[0] == b"done"
