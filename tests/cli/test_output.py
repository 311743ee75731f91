"""What a machine has said is shown on the terminal, and never obeyed by it."""

from __future__ import annotations

import io
import sys

import pytest

from towline.cli import output
from towline.cli.main import main
from towline.errors import UserError

EVIL = "a\x1b]0;x\x07\x9b31m\u202eb\rc"
SHOWN = r"a\x1b]0;x\x07\x9b31m\u202eb\rc"


def test_no_line_holds_what_a_terminal_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    output.data(EVIL)
    output.say(f"{EVIL}\n\tü")
    output.columns([[EVIL, "1"], ["b", EVIL]])
    told = capsys.readouterr()
    assert told.out == f"{SHOWN}\n{SHOWN}  1\n{'b':<{len(SHOWN)}}  {SHOWN}\n"
    assert told.err == f"{SHOWN}\n\tü\n"


def test_an_error_is_no_exception(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UserError(EVIL, EVIL)

    monkeypatch.setattr("towline.cli.main.towline.main", fail)
    with pytest.raises(SystemExit):
        main(["status"])
    assert capsys.readouterr().err == f"error: {SHOWN}\nhint: {SHOWN}\n"


@pytest.mark.parametrize(("is_terminal", "told"), [(True, SHOWN), (False, EVIL)])
def test_the_content_of_a_file_is_what_it_is_but_for_a_terminal(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, told: str
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stdout", stream)
    output.content(EVIL)
    assert stream.getvalue() == f"{told}\n"
