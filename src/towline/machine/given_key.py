"""A laptop's public key, however a person gives it: as it is, by file, by GitHub's user, by secret.

Whatever it comes from, each line is checked before it may stand in a file of keys, and the person
is told which fingerprints were taken. Nothing is fetched but what was named.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from towline.errors import ExitCode, UserError
from towline.machine.public_key import BadKeyError, check_public_line, fingerprint
from towline.machine.secret import NAME, SecretError, secret_named

FILE_MAX = 1 << 20  # Bytes.
ANSWER_MAX = 64 << 10  # Bytes. A hundred keys have fewer.
KEYS_MAX = 32  # Of one person. More are somebody else's as well.
FETCH_S = 10.0

GITHUB = "github:"
_GITHUB_USER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})")

Fetch = Callable[[str], bytes]
"""Return what lies at an https URL, `ANSWER_MAX` bytes and one more at most. Raises OSError."""

FORMS = (
    "give the key itself (`ssh-ed25519 AAAA…`), the path of its .pub file, github:USER,"
    " or the name of a secret that holds it"
)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What was named is meant, and no other place."""

    def redirect_request(  # Its own names, which it is called by.
        self, req: object, fp: object, code: object, msg: object, headers: object, newurl: object
    ) -> None:
        return None


def fetch_https(url: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(url, timeout=FETCH_S) as answer:
        content: bytes = answer.read(ANSWER_MAX + 1)
    return content


def read_keys(
    given: str, environment: Mapping[str, str], tell: Callable[[str], None], fetch: Fetch
) -> list[str]:
    """Return the public keys that `given` means, checked. Raises `UserError`."""
    text, origin = _text_of(given.strip(), environment, fetch)
    found = list(_lines(text, origin))
    if not found:
        raise UserError(f"there is no public key in {origin}", FORMS, ExitCode.USAGE)
    if len(found) > KEYS_MAX:
        raise UserError(f"{origin} holds more than {KEYS_MAX} keys", FORMS, ExitCode.USAGE)
    tell(f"letting in by {origin}: {', '.join(fingerprint(line) for line in found)}")
    return found


def _text_of(given: str, environment: Mapping[str, str], fetch: Fetch) -> tuple[str, str]:
    """Return the text that holds the keys, and what to call it. A key is not quoted whole."""
    if given.startswith(GITHUB):
        return _from_github(given.removeprefix(GITHUB), fetch), given
    if (file := _file(given, environment)) is not None:
        return _from_file(file), str(file)
    if " " in given or "\n" in given:
        return given, "the key given"
    return _from_secret(given, environment), f"the secret {given}"


def _file(given: str, environment: Mapping[str, str]) -> Path | None:
    """Return the file that is meant, if one is: as named, or in the person's own folder."""
    home = environment.get("TOWLINE_HOME", "")
    named = [Path(given).expanduser(), *([Path(home).expanduser() / given] if home else [])]
    try:
        return next((path for path in named if path.is_file()), None)
    except OSError:  # A key is no name for a file: too long.
        return None


def _from_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(FILE_MAX)
    except (OSError, ValueError) as error:
        raise UserError(f"the public key cannot be read: {error}", FORMS, ExitCode.USAGE) from None


def _from_github(user: str, fetch: Fetch) -> str:
    if not _GITHUB_USER.fullmatch(user):
        raise UserError(f"not a user of GitHub: {user!r}", FORMS, ExitCode.USAGE)
    try:
        content = fetch(f"https://github.com/{user}.keys")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            raise UserError(f"GitHub knows no user {user}", FORMS) from None
        raise UserError(
            f"github.com does not tell the keys of {user} now (HTTP {error.code})",
            "try again in a minute, or give the key itself",
            ExitCode.TRY_AGAIN,
        ) from None
    except OSError as error:
        raise UserError(f"github.com cannot be reached: {error}", FORMS) from None
    if len(content) > ANSWER_MAX:
        raise UserError(f"GitHub's answer for {user} is longer than keys are", FORMS)
    return content.decode("ascii", "replace")


def _from_secret(name: str, environment: Mapping[str, str]) -> str:
    try:
        text = secret_named(name, environment) if NAME.fullmatch(name) else ""
    except SecretError as error:
        raise UserError(str(error), "", ExitCode.REFUSED) from None
    if not text:
        raise UserError(
            f"{name} is neither a public key nor a file nor a secret here", FORMS, ExitCode.USAGE
        )
    return text


def _lines(text: str, origin: str) -> Iterator[str]:
    if "PRIVATE KEY-----" in text:
        raise UserError(
            f"{origin}: that is a private key, which never leaves its computer",
            "give the public one, which lies beside it as .pub",
            ExitCode.USAGE,
        )
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                yield check_public_line(line)
            except BadKeyError as error:
                raise UserError(
                    f"{origin}: this is no public key: {error}", FORMS, ExitCode.USAGE
                ) from None
