"""A secret by its name: from the environment, or where the notebook's platform keeps them.

Colab gives them to the kernel alone, and asks the person in the browser; so they are looked up in
the process that called `up`, and never by its supervisor. No value is printed or kept here.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from typing import Any

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class SecretError(Exception):
    """The platform has the secret and does not give it; the message says what to do."""


def secret_named(name: str, environment: Mapping[str, str]) -> str:
    """Return a secret, the empty text where there is none of this name. Raises `SecretError`."""
    if not NAME.fullmatch(name):
        return ""
    return environment.get(name) or _from_colab(name) or _from_kaggle(name, environment)


def has_platform(environment: Mapping[str, str]) -> bool:
    """Whether there is a place to ask beside the environment."""
    return "google.colab" in sys.modules or "KAGGLE_KERNEL_RUN_TYPE" in environment


def _from_colab(name: str) -> str:
    if "google.colab" not in sys.modules:  # It is in every kernel there, and in no shell.
        return ""
    userdata: Any = importlib.import_module("google.colab.userdata")
    try:
        return str(userdata.get(name) or "")
    except Exception as error:  # Its classes cannot be imported by name everywhere.
        if type(error).__name__ == "NotebookAccessError":
            raise SecretError(
                f"this notebook may not read Colab's secret {name}: allow it in its panel"
            ) from None
        return ""


def _from_kaggle(name: str, environment: Mapping[str, str]) -> str:
    if "KAGGLE_KERNEL_RUN_TYPE" not in environment:
        return ""
    try:
        client: Any = importlib.import_module("kaggle_secrets").UserSecretsClient()
        return str(client.get_secret(name) or "")
    except Exception:  # Not attached to this notebook, or no internet: it tells them apart by text.
        return ""
