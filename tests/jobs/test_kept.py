"""Requests kept on the laptop, to be begun again."""

from __future__ import annotations

from pathlib import Path

import pytest

from towline import next_machine
from towline.cli.run import run
from towline.environment.machine import Asked as Equipped
from towline.errors import ExitCode, UserError
from towline.jobs import kept as module
from towline.jobs.asked import Asked
from towline.jobs.call import Job
from towline.jobs.kept import KEPT_MAX, all_kept, forget, keep, refresh
from towline.places import Binding, Workspaces


@pytest.fixture
def binding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Binding:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return Workspaces().ensure(tmp_path, "gpu-box")


def job(key: str, state: str) -> Job:
    return Job(1, key, "", state, "", 0, {})


def test_a_request_is_kept_whole_until_its_job_is_seen_to_be_over(binding: Binding) -> None:
    asked = Asked(("python", "a.py"), name="n", env={"K": "v"}, tty=(24, 80), resumes=True, key="a")
    other = Asked(("true",), key="b")
    keep(binding, asked)
    keep(binding, other)
    assert [kept.asked for kept in all_kept(binding)] == [asked, other]
    refresh(binding, [job("a", "running"), job("b", "done"), job("c", "failed")])
    assert [kept.asked for kept in all_kept(binding)] == [asked]
    refresh(binding, [job("a", "lost")])  # By a reboot: just what it is kept for.
    assert [kept.asked for kept in all_kept(binding)] == [asked]
    forget(binding, "a")
    assert all_kept(binding) == []


def test_each_attempt_is_a_job_of_its_own(
    binding: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Asked] = []

    def start(_: Binding, asked: Asked, revision: int) -> Job:
        begun.append(asked)
        return job(asked.key, "running")

    monkeypatch.setattr(module, "start", start)
    monkeypatch.setattr(module, "all_jobs", lambda _: [job(asked.key, "lost") for asked in begun])
    keep(binding, Asked(("true",), env={"K": "v"}, key="a"))
    for _ in range(2):
        (kept,) = module.to_resume(binding)
        module.resume(binding, kept, 1)
    assert [asked.key for asked in begun] == ["a-2", "a-3"]
    assert [asked.env for asked in begun] == [{"K": "v", "TOWLINE_RESUME": "1"}] * 2
    refresh(binding, [job("a-3", "done")])
    assert all_kept(binding) == []


def test_a_damaged_file_is_passed_over_and_forgetting_a_workspace_takes_all(
    binding: Binding,
) -> None:
    keep(binding, Asked(("true",), key="a"))
    state = binding.places.state.parent
    (state / f"{binding.id}.job-b.json").write_text('{"asked": ')
    assert [kept.asked.key for kept in all_kept(binding)] == ["a"]
    Workspaces().forget(binding)
    assert list(state.glob("*.job-*")) == []


def test_there_is_an_end_to_what_is_kept(binding: Binding) -> None:
    for number in range(KEPT_MAX):
        keep(binding, Asked(("true",), key=str(number)))
    with pytest.raises(UserError, match="wait to be resumed"):
        keep(binding, Asked(("true",), key="more"))


def test_a_job_that_cannot_begin_again_keeps_no_other_from_it(
    binding: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: Binding, asked: Asked, revision: int) -> Job:
        if asked.hold:
            raise UserError("the project holds more than 2 GiB that would be copied")
        return job(asked.key, "running")

    monkeypatch.setattr(module, "start", start)
    monkeypatch.setattr(module, "all_jobs", lambda _: [])
    monkeypatch.setattr(next_machine, "ask", lambda *_: {"revision": 1})
    for key, hold in (("a", False), ("b", True), ("c", False)):
        keep(binding, Asked(("true",), name=key, hold=hold, key=key))
    outcome = next_machine.resume_jobs(Equipped(binding, "", None), lambda _: None)  # type: ignore[arg-type]
    assert outcome is not None
    assert outcome.restored == "2 jobs begun again"
    assert outcome.left == ("b: the project holds more than 2 GiB that would be copied",)
    assert [kept.attempts for kept in all_kept(binding)] == [2, 1, 2]


@pytest.mark.parametrize(
    ("why", "is_kept"), [(ExitCode.UNAVAILABLE, True), (ExitCode.FAILED, False)]
)
def test_what_may_have_begun_before_the_machine_was_lost_is_kept(
    binding: Binding,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    why: ExitCode,
    is_kept: bool,
) -> None:
    def start(*_: object) -> Job:
        raise UserError("not heard of again", "is it on?", why)

    monkeypatch.setattr("towline.cli.run.chosen", lambda *_: binding)
    monkeypatch.setattr("towline.control.flush", lambda *_: {"revision": 1})
    monkeypatch.setattr("towline.jobs.start", start)
    with pytest.raises(UserError, match="not heard of"):
        run.main(["--resume-on-new-machine", "--", "true"], standalone_mode=False)
    assert [kept.asked.argv for kept in all_kept(binding)] == [("true",)] * is_kept
    assert ("is kept" in capsys.readouterr().err) == is_kept
