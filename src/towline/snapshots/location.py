"""Where a repository lies, as a person writes it: a folder, `sftp:me@server:/keep`, `s3:…`.

Pure: whether anything is there, restic finds out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SCHEMES = ("sftp", "s3", "gs", "rclone", "rest", "b2", "azure", "swift")
FOLDER = "folder"

# A folder that a program carries to Google Drive file by file, as people's computers name it.
_DRIVE = re.compile(r"(?i)(?:^|/)(?:drive|my ?drive|google ?drive[^/]*|gdrive|[^/]*-drive)(?:/|$)")
_SFTP = re.compile(r"sftp:(?P<host>[^/:@-][^/:]*):(?P<path>.*)")
_SFTP_URL = re.compile(r"sftp://(?P<host>[^/:@-][^/:]*)(?::(?P<port>\d{1,5}))?/(?P<path>.*)")
_LOGIN = re.compile(r"(://[^/:@]*):[^/]*@")


@dataclass(frozen=True, slots=True)
class Location:
    """`text` as restic takes it. `host` and `port` are those of an SSH server."""

    text: str
    scheme: str = FOLDER
    host: str = ""
    port: int | None = None

    @property
    def shown(self) -> str:
        """The text as anybody may read it: without a password that stands in its URL."""
        return _LOGIN.sub(r"\1:***@", self.text)

    @property
    def wants_few_files(self) -> bool:
        """Whether each file costs so much there that packs must be large."""
        if self.scheme == FOLDER:
            return _DRIVE.search(self.text) is not None
        return self.scheme == "rclone"


def parse_location(text: str) -> Location:
    """Raises ValueError, with a sentence's end, for what is none."""
    scheme, colon, _ = text.partition(":")
    if text.startswith(("/", "~/")):
        return Location(text)
    if not colon or scheme not in SCHEMES:
        known = ", ".join(f"{name}:…" for name in SCHEMES)
        raise ValueError(f"expected an absolute folder, ~/… or one of {known}")
    if scheme != "sftp":
        return Location(text, scheme)
    found = _SFTP_URL.fullmatch(text) or _SFTP.fullmatch(text)
    if found is None or not found["path"]:
        raise ValueError("expected sftp:HOST:FOLDER or sftp://HOST:PORT/FOLDER")
    port = found.groupdict().get("port")
    return Location(text, scheme, found["host"], int(port) if port else None)
