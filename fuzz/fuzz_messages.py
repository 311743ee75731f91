"""Fuzz target: a message from any bytes is one that survives the wire again, or a protocol error.

With atheris: `python fuzz/fuzz_messages.py`. `test_one_input` alone needs nothing beside towline.
"""

from __future__ import annotations

import json
import sys

from towline.core.path import check_path
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import PREFIX, Apply, Copy, Message, TreePart, decode, encode


def test_one_input(data: bytes) -> None:
    """Raise if `data` does anything but decode to a sound message or end in a protocol error."""
    for candidate in (data, _as_header(data)):
        try:
            message = decode(candidate)
        except ProtocolError:
            continue
        assert decode(encode(message)) == message
        for path in _paths_of(message):
            check_path(path)


def _as_header(data: bytes) -> bytes:
    """Make the bytes the fields of a message, so that more of them get past the prefix."""
    kind, text = data[:1] or b"\0", data[1:].decode("latin-1")
    header = json.dumps([part or None for part in text.split("|")]).encode()
    return kind + PREFIX.pack(0, len(header))[1:] + header


def _paths_of(message: Message) -> list[str]:
    if isinstance(message, TreePart):
        return [path for path, _ in message.rows]
    if isinstance(message, Copy):
        return [message.path]
    return [change.path for change in message.changes] if isinstance(message, Apply) else []


def main() -> None:
    import atheris  # type: ignore[import-not-found]

    atheris.instrument_all()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
