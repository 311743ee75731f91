"""A laptop's public key in every form a person may give it; whatever else is given is refused."""

from __future__ import annotations

import io
import sys
import types
import urllib.error
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from towline.errors import ExitCode, UserError
from towline.machine import given_key
from towline.machine.given_key import ANSWER_MAX, KEYS_MAX, read_keys
from towline.machine.public_key import fingerprint, public_line

GOOD = public_line(bytes(range(32)), "a comment")
OTHER = public_line(bytes(32))


class Web:
    """What would be fetched, by address; it notes what was asked for."""

    def __init__(self, *, answer: bytes = b"", error: OSError | None = None) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._error = error

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if self._error:
            raise self._error
        return self._answer


def read(given: str, web: Web | None = None, **environment: str) -> list[str]:
    return read_keys(given, environment, lambda _: None, web or Web())


def fault(given: str, web: Web | None = None, **environment: str) -> str:
    with pytest.raises(UserError) as caught:
        read(given, web, **environment)
    return caught.value.message


def test_as_text_and_as_a_file(tmp_path: Path) -> None:
    assert read(GOOD) == [GOOD]
    (tmp_path / "keys").write_text(f"# mine\n{GOOD}\n\n{OTHER}\n")
    assert read(str(tmp_path / "keys")) == [GOOD, OTHER]
    assert read("keys", TOWLINE_HOME=str(tmp_path)) == [GOOD, OTHER], "the person's own folder"


def test_of_a_user_of_github_and_the_fingerprints_are_told() -> None:
    web = Web(answer=f"{GOOD}\n{OTHER}\n".encode())
    told: list[str] = []
    assert read_keys("github:ana-1", {}, told.append, web) == [GOOD, OTHER]
    assert web.asked == ["https://github.com/ana-1.keys"]
    assert told == [f"letting in by github:ana-1: {fingerprint(GOOD)}, {fingerprint(OTHER)}"]


@pytest.mark.parametrize("user", ["", "-x", "a/b", "a@evil.example", "a?b", "a" * 40, "é"])
def test_what_is_no_user_is_not_asked_for(user: str) -> None:
    web = Web(answer=GOOD.encode())
    assert "not a user of GitHub" in fault(f"github:{user}", web)
    assert web.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "no public key in github:ana"),
        (b"<html>no keys here</html>", "this is no public key"),
        (f'command="id" {GOOD}'.encode(), "this is no public key"),
        (b"#" * (ANSWER_MAX + 1), "longer than keys are"),
        (f"{GOOD}\n".encode() * (KEYS_MAX + 1), f"more than {KEYS_MAX} keys"),
    ],
)
def test_an_answer_that_holds_no_keys_is_refused(answer: bytes, said: str) -> None:
    assert said in fault("github:ana", Web(answer=answer))


def test_a_user_that_is_not_there_and_a_network_that_is_not() -> None:
    gone = urllib.error.HTTPError("https://x", 404, "Not Found", Message(), io.BytesIO())
    busy = urllib.error.HTTPError("https://x", 429, "Too Many Requests", Message(), io.BytesIO())
    assert "knows no user ana" in fault("github:ana", Web(error=gone))
    assert "does not tell the keys of ana now (HTTP 429)" in fault("github:ana", Web(error=busy))
    assert "cannot be reached: no route" in fault("github:ana", Web(error=OSError("no route")))


def test_only_what_was_named_is_fetched() -> None:
    """An answer that leads elsewhere, to another host or to plain http, is none."""
    redirect: Any = given_key._NoRedirect()
    assert redirect.redirect_request(None, None, 302, "Found", {}, "http://evil.example") is None


def test_of_a_secret_in_the_environment() -> None:
    assert read("LAPTOP_KEY", LAPTOP_KEY=GOOD) == [GOOD]
    assert "neither a public key nor a file nor a secret" in fault("LAPTOP_KEY")


def test_of_a_secret_of_colab(monkeypatch: pytest.MonkeyPatch) -> None:
    class NotebookAccessError(Exception):
        pass

    class SecretNotFoundError(Exception):
        pass

    def get(name: str) -> str:
        if name == "HIDDEN":
            raise NotebookAccessError
        if name != "LAPTOP_KEY":
            raise SecretNotFoundError
        return GOOD

    package, userdata = types.ModuleType("google.colab"), types.ModuleType("google.colab.userdata")
    vars(userdata)["get"] = get
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setitem(sys.modules, "google.colab.userdata", userdata)
    assert read("LAPTOP_KEY") == [GOOD]
    assert "neither a public key nor a file nor a secret" in fault("OTHER")
    assert "may not read Colab's secret HIDDEN" in fault("HIDDEN")


def test_of_a_secret_of_kaggle(monkeypatch: pytest.MonkeyPatch) -> None:
    class UserSecretsClient:
        def get_secret(self, name: str) -> str:
            if name != "LAPTOP_KEY":
                raise ValueError("No user secrets exist for kernel")
            return GOOD

    module = types.ModuleType("kaggle_secrets")
    vars(module)["UserSecretsClient"] = UserSecretsClient
    monkeypatch.setitem(sys.modules, "kaggle_secrets", module)
    here = {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}
    assert read("LAPTOP_KEY", **here) == [GOOD]
    assert "nor a secret" in fault("OTHER", **here)
    assert "nor a secret" in fault("LAPTOP_KEY"), "elsewhere nobody is asked"


def test_a_private_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    text = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n"
    (tmp_path / "key").write_text(text)
    for given in (text, str(tmp_path / "key")):
        said = fault(given)
        assert "a private key, which never leaves its computer" in said
        assert "c2VjcmV0" not in said


def test_what_cannot_be_used_is_the_persons_to_mend() -> None:
    with pytest.raises(UserError) as caught:
        read("none.pub")
    assert caught.value.exit_code is ExitCode.USAGE
    assert "github:USER" in caught.value.hint
