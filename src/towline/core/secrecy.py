"""Which variables look like secrets, by their names alone: those are neither passed on nor kept.

A guess on the safe side. Values are not looked at, and nothing is known of files.
"""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|_KEY$|^KEY$|_PAT$|COOKIE"
)


def looks_secret(variable: str) -> bool:
    return _SECRET.search(variable.upper()) is not None
