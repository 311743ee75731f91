"""The machine's half: what the image had, what differs, what would be installed; offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from towline.agent.environment import command, inventory, personal
from towline.agent.environment.baseline import Baseline, hold
from towline.agent.environment.restore import _planned, is_gpu_stack, restore

STATUS = """\
Package: tree
Status: install ok installed
Version: 1

Package: libtree
Status: install ok installed

Package: gone
Status: deinstall ok config-files
"""
STATES = """\
Package: libtree
Architecture: amd64
Auto-Installed: 1
"""


def found(packages: dict[str, Any], prefix: Path, **more: Any) -> dict[str, Any]:
    return {
        "python": "3.12.1",
        "platform": "linux-x86_64",
        "executable": f"{prefix}/bin/python",
        "prefix": str(prefix),
        "packages": {name: {"name": name, **entry} for name, entry in packages.items()},
        "apt": [],
        **more,
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_what_differs_from_the_image(home: Path) -> None:
    image = {"six": {"version": "1"}, "idna": {"version": "3.6"}, "toml": {"version": "0.10"}}
    assert Baseline(found(image, home)).is_new
    project = home / "proj"
    now = {
        "six": {"version": "1"},
        "idna": {"version": "3.7", "requested": True},
        "rich": {"version": "13", "requested": True},
        "mdurl": {"version": "0.1"},
        "ours": {"version": "1", "editable": str(project / "lib"), "requested": True},
        "other": {"version": "1", "editable": "/opt/other"},
        "direct": {"version": "1", "url": "git+https://example.org/x@abc"},
    }
    known = Baseline(found(now, home, apt=["tree"]))
    assert not known.is_new
    delta = known.delta(found(now, home, apt=["tree"]), str(project))
    assert delta["added"] == {"mdurl": "0.1", "rich": "13"}
    assert delta["changed"] == {"idna": {"was": "3.6", "now": "3.7"}}
    assert delta["removed"] == {"toml": "0.10"}
    assert delta["editable"] == {"other": "/opt/other", "ours": "lib"}
    assert delta["urls"] == {"direct": "git+https://example.org/x@abc"}
    assert delta["requested"] == ["idna", "ours", "rich"]
    assert delta["apt"] == ["tree"]


def test_an_environment_made_anew_at_the_same_place_is_another_one(home: Path) -> None:
    first, second = home / "first", home / "venv"
    second.mkdir()
    assert Baseline(found({}, second)).is_new
    assert not Baseline(found({}, second)).is_new
    second.rename(first)  # Its number is in use still, so the next has another.
    second.mkdir()
    assert Baseline(found({"six": {"version": "1"}}, second)).is_new


def test_a_record_s_name_is_no_path(home: Path) -> None:
    Baseline(found({}, home))
    beside = home / ".cache/towline/beside.json"
    beside.write_text('{"holds": []}')
    hold("../beside", "/proj")
    assert beside.read_text() == '{"holds": []}'


def test_only_who_was_given_the_list_holds_it(home: Path) -> None:
    baseline = Baseline(found({}, home))
    assert not baseline.holds("/proj")
    hold(baseline.name, "/proj")
    assert Baseline(found({}, home)).holds("/proj")
    assert not Baseline(found({}, home)).holds("/other")


def test_a_note_is_there_though_the_laptop_hung_up_before_it_was_told(
    home: Path,
) -> None:
    baseline = Baseline(found({}, home))
    ours, theirs = os.pipe()
    os.close(ours)
    source = "import sys; from towline.agent.environment.command import main; main(sys.argv[1:])"
    request = json.dumps({"project": "/proj", "record": baseline.name})
    argv = [sys.executable, "-c", source, "hold", request]
    done = subprocess.run(argv, stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert b"BrokenPipeError" in done.stderr
    assert Baseline(found({}, home)).holds("/proj")


def test_what_was_never_looked_at_is_not_held(home: Path) -> None:
    hold("0" * 16, "/proj")
    assert Baseline(found({}, home)).is_new


def lock(**more: Any) -> dict[str, Any]:
    empty = {key: {} for key in ("added", "changed", "removed", "urls", "editable")}
    return {**empty, "requested": [], "apt": [], **more}


def test_what_is_the_images_own_stays(home: Path) -> None:
    image = found({"torch": {"version": "2.4"}, "attrs": {"version": "24"}}, home)
    wanted = lock(
        requested=["rich"],
        added={"rich": "13", "attrs": "23", "nvidia-nccl": "2", "there": "1"},
        changed={"torch": {"was": "2.3", "now": "2.5"}},
    )
    now = {**image["packages"], "there": {"name": "there", "version": "1"}}
    plan = _planned(wanted, {"packages": now}, image["packages"])
    assert plan.exact == {"rich": "13", "nvidia-nccl": "2"}
    assert set(plan.left) == {"torch", "attrs"}


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("torch", True), ("nvidia-cublas-cu12", True), ("torchmetrics", False), ("jaxtyping", False)],
)
def test_which_packages_are_the_gpus(name: str, is_one: bool) -> None:
    assert is_gpu_stack(name) is is_one


def test_system_packages_that_somebody_asked_for(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "states").write_text(STATES)
    listed = inventory.manual_packages(str(tmp_path / "status"), str(tmp_path / "states"))
    assert listed == ["tree"]
    assert inventory.manual_packages("/no/such", "/no/such") == []


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://me:secret@example.org/x.git", "https://example.org/x.git"),
        ("https://token@example.org/x", "https://example.org/x"),
        ("ssh://git@example.org/x", "ssh://git@example.org/x"),
        ("file:///data/x", "file:///data/x"),
    ],
)
def test_a_login_does_not_get_into_the_list(url: str, kept: str) -> None:
    assert inventory.without_login(url) == kept


def test_the_inventory_is_of_the_python_that_runs_it() -> None:
    source = "from towline.agent.environment.inventory import main; main()"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True)
    told = json.loads(done.stdout)
    assert told["packages"]["pytest"]["version"] == pytest.__version__
    assert told["executable"] == sys.executable


def test_secrets_and_what_lies_elsewhere_are_not_taken(home: Path) -> None:
    (home / ".vimrc").write_text("set number\n")
    (home / ".netrc").write_text("password\n")
    variables = {"CACHE": "/data", "HF_TOKEN": "secret"}
    taken = personal.capture(
        variables, ["CACHE", "HF_TOKEN", "NO"], [".vimrc", ".netrc", "../etc/passwd", ".nothing"]
    )
    assert taken["variables"] == {"CACHE": "/data"}
    assert taken["dotfiles"] == {".vimrc": "set number\n"}
    assert set(taken["left"]) == {"HF_TOKEN", ".netrc", "../etc/passwd"}


def test_what_is_there_is_not_overwritten(home: Path) -> None:
    (home / ".vimrc").write_text("mine\n")
    (home / ".bashrc").write_text("alias ll='ls -l'")
    left = personal.restore({"CACHE": "it's here"}, {".vimrc": "theirs\n", ".config/x": "new\n"})
    assert set(left) == {".vimrc"}
    assert (home / ".vimrc").read_text() == "mine\n"
    assert (home / ".config/x").read_text() == "new\n"
    personal.restore({"CACHE": "it's here"}, {})
    assert (home / ".bashrc").read_text().count("towline/variables.sh") == 2  # In one line.
    shell = ["bash", "-c", '. ~/.bashrc; printf %s "$CACHE"']
    assert subprocess.run(shell, capture_output=True, text=True).stdout == "it's here"


def test_a_variable_that_is_not_utf_8_is_left() -> None:
    """The agent has it as the system does, with lone surrogates; a lock file cannot hold it."""
    variables = {"GREETING": os.fsdecode(b"caf\xe9")}
    captured = personal.capture(variables, ["GREETING"], [])
    assert captured == {"variables": {}, "dotfiles": {}, "left": {"GREETING": "is not UTF-8"}}


def test_two_projects_of_one_machine_keep_their_variables(home: Path) -> None:
    for variables in ({"ONE": "1", "BOTH": "a"}, {"TWO": "2\n2", "BOTH": "b"}, {"BOTH": "a"}):
        personal.restore(variables, {})
    file = home / personal.VARIABLES
    shown = subprocess.run(
        ["sh", "-c", f'. "{file}"; echo "$ONE $TWO $BOTH"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "1 2\n2 a\n"
    before = file.read_text()
    personal.restore({"BOTH": "a", "TWO": "2\n2"}, {})
    assert file.read_text() == before


def test_a_dotfile_is_watched_where_it_lies(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "inventory_of", lambda _: found({}, home, paths=[]))
    asked = {"project": str(home), "python": sys.executable, "variables": []}
    environment = command.Environment({**asked, "dotfiles": [".vimrc", "~/.inputrc"]})
    assert environment.captured()["files"][-2:] == [f"{home}/.vimrc", f"{home}/.inputrc"]


class Recording:
    """An installer that notes what it is told to install, and says what it is given to say."""

    def __init__(self, *says: str) -> None:
        self._says = iter(says)
        self.asked: list[tuple[list[str], list[str]]] = []

    def install(self, lines: Any, image: Any = (), *, follow: bool = False) -> str:
        self.asked.append(([*lines], [*image]))
        return next(self._says, "")

    def remove(self, names: Any) -> str:
        return ""


def test_a_folder_with_a_space_is_found_and_installed(home: Path) -> None:
    project = home / "my pröject"
    told = json.dumps({"url": (project / "lib").as_uri(), "dir_info": {"editable": True}})
    origin = inventory._origin(told)
    assert origin == {"editable": str(project / "lib")}
    Baseline(found({}, home))
    now = found({"ours": {"version": "1", **origin}}, home)
    assert Baseline(now).delta(now, str(project))["editable"] == {"ours": "lib"}

    installer, wanted = Recording(), lock(editable={"ours": "lib"})
    steps = restore(installer, wanted, found({}, home), {}, str(project))  # type: ignore[arg-type]
    assert [step for step, _ in steps] == ["packages", "editable"]
    assert installer.asked[-1] == ([f"-e {(project / 'lib').as_uri()}"], [])


def test_versions_that_no_installer_reads_keep_none_of_the_others_from_it(home: Path) -> None:
    odd = {"gpg": "1.16.0-unknown", "python-debian": "0.1.43ubuntu1", "distro-info": "1.1build1"}
    fine = {"torch": "2.4.0+cu124", "six": "1.16.0", "a": "1!2.0rc1.post2.dev3", "b": "2004.1-3"}
    image = found({n: {"version": v} for n, v in {**odd, **fine}.items()}, home)["packages"]
    wanted = lock(requested=["rich"], added={"rich": "13", "python-apt": "2.4.0build1"})
    installer = Recording("rich 13 is gone")
    (_, outcome), _ = restore(installer, wanted, {"packages": image}, image, "/proj")  # type: ignore[arg-type]
    assert installer.asked[0][0] == ["rich==13"]
    assert installer.asked[1] == (["rich==13"], [f"{n}=={v}" for n, v in fine.items()])
    assert set(outcome.left) == {"python-apt"}


def test_the_gpus_own_stays_also_where_it_is_known_by_a_url(home: Path) -> None:
    wheel = "https://download.pytorch.org/whl/cu121/torch-2.3.0%2Bcu121-cp311-linux_x86_64.whl"
    local = {"version": "2.4+cu124", "url": "file:///opt/torch.whl"}
    image = found({"torch": local, "mine": {"version": "1", "url": "file:///m"}}, home)["packages"]
    wanted = lock(
        requested=["rich"],
        added={"rich": "13"},
        urls={"torch": wheel, "mine": "https://example.org/mine-2-py3-none-any.whl"},
    )
    plan = _planned(wanted, {"packages": image}, image)
    assert (set(plan.urls), set(plan.left)) == ({"mine"}, {"torch"})
    installer = Recording("rich 13 is gone")
    assert len(list(restore(installer, wanted, {"packages": image}, image, "/proj"))) == 2  # type: ignore[arg-type]
    assert installer.asked[1] == (["rich==13"], ["torch==2.4+cu124"])
