"""The releases of a real package that the reloader is led through, oldest first."""

from __future__ import annotations

PACKAGE = "toolz"  # Pure Python, and its wheels bring their tests.
VERSIONS = ("0.11.0", "0.11.1", "0.11.2", "0.12.0", "0.12.1", "1.0.0", "1.1.0")
RELEASES = tuple(f"{PACKAGE}=={version}" for version in VERSIONS)
