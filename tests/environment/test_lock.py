"""The lock file: what is written is read again, diffs say what changed, no more gets through."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.environment.lock import from_machine, from_text, is_empty, same, to_text
from towline.errors import ExitCode, UserError

NOTHING: dict[str, Any] = {
    "requested": [],
    "image": {"python": "3.12.1", "platform": "linux-x86_64", "packages": 7},
    "added": {},
    "changed": {},
    "removed": {},
    "urls": {},
    "editable": {},
    "apt": [],
    "variables": {},
    "dotfiles": {},
}
FULL: dict[str, Any] = {
    **NOTHING,
    "requested": ["rich"],
    "added": {"pygments": "2.17.2", "rich": "13.7.1"},
    "changed": {"idna": {"was": "3.6", "now": "3.7+local.1"}},
    "removed": {"toml": "0.10.2"},
    "urls": {"ours": "git+https://example.org/ours.git@0123abc#subdirectory=lib"},
    "editable": {"vision": ".", "tools": "../tools and more"},
    "apt": ["libc6:amd64", "tree"],
    "variables": {"MODEL_CACHE": '/data/"models"'},
    "dotfiles": {".vimrc": 'set number\n\t" quoted \\ "\n\x7f ünïcode 😀\n'},
}


def test_what_is_written_is_read_again() -> None:
    assert from_text(to_text(FULL)) == FULL
    assert from_text(to_text(NOTHING)) == NOTHING
    assert is_empty(NOTHING)
    assert not is_empty(FULL)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])),
    )
)
def test_any_text_of_a_dotfile_comes_back(dotfiles: dict[str, str]) -> None:
    lock = {**NOTHING, "dotfiles": dotfiles}
    assert from_text(to_text(lock)) == lock


def test_one_package_more_is_one_line_more() -> None:
    more = {**FULL, "added": {"pygments": "2.17.2", "rich": "13.7.1", "tabulate": "0.9.0"}}
    before, after = (to_text(lock).splitlines() for lock in (FULL, more))
    assert [line for line in after if line not in before] == ['tabulate = "0.9.0"']
    assert len(after) == len(before) + 1


def test_the_image_does_not_make_two_files_differ() -> None:
    other = {**FULL, "image": {**FULL["image"], "packages": 8}}
    assert same(FULL, other)
    assert not same(FULL, NOTHING)


@pytest.mark.parametrize(
    "text",
    [
        "version = 2\n",
        "",
        "version = 1\nnot toml",
        'version = 1\n[added]\n"--index-url" = "1"\n',
        'version = 1\n[added]\nrich = "1.0 --hash=x"\n',
        'version = 1\n[added]\nrich = "1.0\\nevil"\n',
        'version = 1\n[urls]\nrich = "-r /etc/passwd"\n',
        'version = 1\n[editable]\nrich = "-x"\n',
        'version = 1\n[editable]\nrich = "a\\nb"\n',
        'version = 1\n[apt]\npackages = ["-o=x"]\n',
        'version = 1\n[variables]\n"A B" = "1"\n',
        "version = 1\nadded = 3\n",
        "version = 1\n[changed]\nrich = {}\n",
        "requested = 1\nversion = 1\n",
    ],
)
def test_what_is_no_lock_file_is_refused(text: str) -> None:
    with pytest.raises(UserError) as refused:
        from_text(text)
    assert refused.value.exit_code is ExitCode.CONFIG


def test_it_is_toml_as_others_read_it() -> None:
    plain = tomllib.loads(to_text(FULL))
    assert plain["added"] == FULL["added"]
    assert plain["apt"]["packages"] == FULL["apt"]


def test_of_what_a_machine_tells_only_what_fits_is_taken() -> None:
    told = {
        **FULL,
        "holds": 1,
        "added": {"rich": "13.7.1", "--evil": "1", "odd": ["1"], "six": "1 --x"},
        "urls": {"ours": "-r /etc/passwd"},
        "apt": ["tree", "-o=x", 7],
        "requested": "rich",
        "image": None,
        "left": [1],
    }
    taken = from_machine(told)
    assert taken["added"] == {"rich": "13.7.1"}
    assert (taken["urls"], taken["apt"], taken["requested"]) == ({}, ["tree"], [])
    assert (taken["holds"], taken["left"], taken["image"]) == (False, {}, {})
    assert from_text(to_text(taken))["added"] == {"rich": "13.7.1"}
    more = {"record": "0a", "holds": True}
    assert from_machine({**FULL, **more}) == {**FULL, **more, "left": {}}
    for nonsense in (None, [], "text", 3):
        with pytest.raises(UserError):
            from_machine(nonsense)
