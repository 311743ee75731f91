"""What is wanted of `up`: arguments, environment, files, the platform's secrets, in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from towline import wanted
from towline.errors import UserError
from towline.wanted import Wanted, gather


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (project := tmp_path / "project").mkdir()
    return project


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    (drive := tmp_path / "drive").mkdir(mode=0o700)
    return drive


def gathered(
    project: Path,
    environment: Mapping[str, str] | None = None,
    told: list[str] | None = None,
    *,
    routes: Sequence[str] = (),
    **settings: str,
) -> Wanted:
    return gather(
        routes=routes,
        name=None,
        keys=(),
        settings={key.replace("__", "."): value for key, value in settings.items()},
        environment=environment or {},
        folder=project,
        tell=(told if told is not None else []).append,
    )


def in_pyproject(at: Path, text: str) -> None:
    (at / "pyproject.toml").write_text(f"[tool.towline]\n{text}")


def test_nothing_said_is_the_first_route_that_works(project: Path) -> None:
    assert gathered(project) == Wanted(("auto",), None, (), {})


def test_the_projects_file_says_all_of_it(project: Path) -> None:
    in_pyproject(
        project,
        'name = "box"\nroutes = ["cloudflared", "bore"]\nkeys = ["github:ana"]\n'
        'route.bore = {server = "relay.example:7", port = 4022}\nroute.ssh.public = true\n',
    )
    settings = {"bore.server": "relay.example:7", "bore.port": "4022", "ssh.public": "yes"}
    assert gathered(project) == Wanted(("cloudflared", "bore"), "box", ("github:ana",), settings)


def test_arguments_go_before_the_environment_and_that_before_files(
    project: Path, drive: Path
) -> None:
    (drive / "towline.toml").write_text(
        'routes = ["serveo"]\nname = "kept"\nkeys = ["github:kept"]\n'
        'route.bore = {server = "drive", port = 1}\nroute.frp.server = "drive"\n'
    )
    in_pyproject(project, 'routes = ["pinggy"]\nroute.bore = {server = "file"}\n')
    environment = {"TOWLINE_HOME": str(drive), "TOWLINE_KEYS": "github:env"}
    found = gathered(project, environment)
    assert (found.routes, found.name, found.keys) == (("pinggy",), "kept", ("github:env",))
    assert found.settings == {"bore.server": "file", "bore.port": "1", "frp.server": "drive"}

    environment |= {"TOWLINE_ROUTES": "bore, ssh", "TOWLINE_BORE_SERVER": "env"}
    found = gathered(project, environment, frp__server="argument")
    assert found.routes == ("bore", "ssh")
    # What the environment says stays there, where the route reads it.
    assert found.settings == {"bore.port": "1", "frp.server": "argument"}
    assert gathered(project, environment, routes=["direct"]).routes == ("direct",)


def test_a_secret_in_the_projects_file_is_remarked_on(project: Path, drive: Path) -> None:
    told: list[str] = []
    in_pyproject(project, 'route.bore.secret = "x"\n')
    assert gathered(project, told=told).settings == {"bore.secret": "x"}
    assert told == [
        "pyproject.toml:2: bore.secret is a secret, and this file is seldom kept as one"
    ]


def test_a_folder_that_others_may_enter_is_remarked_on(project: Path, drive: Path) -> None:
    told: list[str] = []
    gathered(project, {"TOWLINE_HOME": str(drive)}, told)
    assert told == []
    drive.chmod(0o755)
    gathered(project, {"TOWLINE_HOME": str(drive)}, told)
    assert f"others on this machine may enter {drive} (mode 755)" in told[0]
    told.clear()
    gathered(project, {"TOWLINE_HOME": str(drive / "away")}, told)
    assert "cannot be read" in told[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('routes = "bore"\n', "routes: expected a list of names of routes"),
        ('routes = ["-x"]\n', "expected the name of a route"),
        ('routes = ["bore", "bore"]\n', "named twice"),
        ("route = 1\n", "route: expected a table"),
        ("route.bore = 1\n", "route.bore: expected a table of the route's settings"),
        ("route.bore.port = 1.5\n", "route.bore.port: expected a text"),
        ('route.bore.sever = "x"\n', "no route has a setting 'bore.sever'"),
    ],
)
def test_what_is_wrong_is_named(project: Path, text: str, said: str) -> None:
    in_pyproject(project, text)
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        gathered(project)


def test_the_platform_is_asked_for_secrets_of_the_routes_that_are_wanted(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def secret_named(name: str, environment: Mapping[str, str]) -> str:
        asked.append(name)
        return {"BORE_SECRET": "from the platform"}.get(name, "")

    monkeypatch.setattr(wanted, "secret_named", secret_named)
    kaggle = {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}
    assert gathered(project, kaggle, routes=["bore"]).settings == {
        "bore.secret": "from the platform"
    }
    assert asked == ["BORE_SECRET"]
    asked.clear()
    assert gathered(project, routes=["bore"]).settings == {}
    assert asked == [], "elsewhere nobody is asked"
    gathered(project, kaggle, routes=["bore"], bore__secret="given")  # noqa: S106 - a test's.
    assert asked == [], "it is known already"
    gathered(project, kaggle)
    assert "NGROK_AUTHTOKEN" in asked
