"""The service token by which an access policy in front of a tunnel lets this laptop through.

It is shown to the hosts that its owner has named for it and to nobody else: an address comes from a
ticket, and who makes tickets could name any host. Nor does it go where there is no TLS. It comes
from the environment, a private file or the keyring, and stands in no argv, log or ticket.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from towline.core.address import WebSocket
from towline.errors import ExitCode, UserError
from towline.given_secret import from_keyring, require_private
from towline.routes.websocket import STATUSES, Meaning

HOST, ID, SECRET = "TOWLINE_ACCESS_HOST", "TOWLINE_ACCESS_ID", "TOWLINE_ACCESS_SECRET"
KEYRING = "keyring:"
VALUE_MAX = 4096  # Characters of a header; a token has some seventy.

_HOW = f"set {HOST}, {ID} and {SECRET}, or write them into access.toml (docs: routes)"
WITHOUT: Mapping[int, Meaning] = {
    302: ("its access policy asks visitors to log in", f"give it a service token: {_HOW}"),
    403: ("its access policy refuses visitors without a token", f"give it one: {_HOW}"),
}
REFUSED = "its access policy does not accept the service token"
WITH: Mapping[int, Meaning] = {
    302: (REFUSED, "is it the right one for this host, and not revoked?"),
    403: (REFUSED, "does a policy of the application include it (action: Service Auth)?"),
}


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    secret: str = field(repr=False)

    def headers(self) -> dict[str, str]:
        return {"CF-Access-Client-Id": self.id, "CF-Access-Client-Secret": self.secret}


def token_for(address: WebSocket, environment: Mapping[str, str]) -> Token | None:
    """Return the token that its owner has named for a host, if any. Raises UserError."""
    if not address.secure:
        return None
    if environment.get(HOST, "").lower() == address.host.lower():
        return _checked(environment.get(ID), environment.get(SECRET), f"{ID} and {SECRET}")
    file = file_of(environment)
    if not file.exists():
        return None
    entry = _tables(file).get(address.host.lower())
    return None if entry is None else _checked(entry.get("id"), entry.get("secret"), str(file))


def statuses_with(token: Token | None) -> dict[int, Meaning]:
    """Return what an HTTP status in place of a WebSocket means, to who has shown this token."""
    return {**STATUSES, **(WITHOUT if token is None else WITH)}


def file_of(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "towline/access.toml"


def _tables(file: Path) -> dict[str, dict[str, object]]:
    """Read the file: a table for each host. Raises UserError if others could read it, too."""
    try:
        require_private(file, file.stat(), f"{file} holds secrets and")
        plain = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}", "", ExitCode.CONFIG) from None
    return {host.lower(): table for host, table in plain.items() if isinstance(table, dict)}


def _checked(identity: object, secret: object, where: str) -> Token:
    if isinstance(secret, str) and secret.startswith(KEYRING):
        secret = from_keyring(secret.removeprefix(KEYRING), "the service token's secret", "")
    if not (_is_header(identity) and _is_header(secret)):
        raise UserError(
            f"{where}: an id and a secret are needed, as the provider has shown them",
            "",
            ExitCode.CONFIG,
        )
    return Token(str(identity), str(secret))


def _is_header(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= VALUE_MAX
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )
