"""Which cipher ssh tries first: asked of the real ssh, which reads real configurations."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from towline.line import cipher
from towline.line.cipher import OFFERED, QUICK, read_ciphers, with_quick_cipher
from towline.line.options import SshOptions

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh"),
]

OLD, NEW = sorted(OFFERED, key=lambda offered: offered[1] == "aes128-gcm@openssh.com")


@pytest.fixture(autouse=True)
def _aes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cipher, "has_aes", lambda: True)


def configured(directory: Path, ciphers: str) -> SshOptions:
    file = directory / "config"
    file.write_text(f"Host *\n    {ciphers}\n")
    return SshOptions(config_file=str(file))


def tried(options: SshOptions) -> tuple[str, ...]:
    given = [option for option in options.options if option.startswith("Ciphers=")]
    return tuple(given[-1].removeprefix("Ciphers=").split(",")) if given else ()


@pytest.mark.parametrize("offered", [OLD, NEW])
async def test_what_openssh_offers_by_itself_is_offered_with_the_quick_one_first(
    tmp_path: Path, offered: tuple[str, ...]
) -> None:
    options = configured(tmp_path, f"Ciphers {','.join(offered)}")
    first, *others = tried(await with_quick_cipher(options, "gpu"))
    assert first == QUICK
    assert others == [name for name in offered if name != QUICK]


async def test_where_nobody_has_chosen_the_installed_ssh_is_known(tmp_path: Path) -> None:
    options = await with_quick_cipher(configured(tmp_path, "User me"), "gpu")
    assert tried(options)[:1] == (QUICK,)


@pytest.mark.parametrize(
    "ciphers",
    [
        "Ciphers chacha20-poly1305@openssh.com",
        "Ciphers aes256-ctr,aes256-gcm@openssh.com",
        "Ciphers -aes*-ctr",
        "Ciphers ^aes128-ctr",
        "Ciphers +aes128-cbc",
    ],
)
async def test_a_choice_in_the_configuration_stands(tmp_path: Path, ciphers: str) -> None:
    options = configured(tmp_path, ciphers)
    assert await with_quick_cipher(options, "gpu") == options


async def test_a_choice_on_the_command_line_stands(tmp_path: Path) -> None:
    given = configured(tmp_path, "User me")
    options = SshOptions(config_file=given.config_file, options=("Ciphers=aes256-ctr",))
    assert await with_quick_cipher(options, "gpu") == options


async def test_a_processor_without_instructions_for_aes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cipher, "has_aes", lambda: False)
    options = configured(tmp_path, "User me")
    assert await with_quick_cipher(options, "gpu") == options


async def test_another_program_for_ssh_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWLINE_SSH", "/nowhere/ssh")
    options = configured(tmp_path, "User me")
    assert await with_quick_cipher(options, "gpu") == options


async def test_an_ssh_that_does_not_say_changes_nothing(tmp_path: Path) -> None:
    options = configured(tmp_path, "NoSuchOption yes")
    assert await with_quick_cipher(options, "gpu") == options


async def test_no_ssh_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options = configured(tmp_path, "User me")
    assert await with_quick_cipher(options, "gpu") == options


def test_what_ssh_prints_is_read() -> None:
    assert read_ciphers("user me\nciphers a,b\nmacs c\n") == ("a", "b")
    assert read_ciphers("user me\n") == ()
