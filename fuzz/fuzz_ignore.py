"""Fuzz target: rules, paths and the wire form of rules, from any bytes.

With atheris: `python fuzz/fuzz_ignore.py`. `test_one_input` alone needs nothing beside towline.
"""

from __future__ import annotations

import json
import sys

from towline.core.ignore import GIT_IGNORE, Rules, Source, SourceKind, lines_of


def test_one_input(content: bytes) -> None:
    """Take an ignore file, a line of zero bytes, a path; or, in JSON, rules from a peer."""
    file, _, path = content.partition(b"\n\0\n")
    rules = Rules([Source(SourceKind.GIT_IGNORE, "", GIT_IGNORE, lines_of(file))])
    name = path.decode("utf-8", "surrogateescape").replace("\0", "").strip("/")
    for is_directory in (False, True):
        if rules.explain(name, is_directory).ignored is not rules.ignores(name, is_directory):
            raise AssertionError(f"two answers for {name!r}")
    if Rules.from_wire(json.loads(json.dumps(rules.to_wire()))) != rules:
        raise AssertionError("the wire changes the rules")
    _read_wire(content)


def _read_wire(content: bytes) -> None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return
    try:
        Rules.from_wire(value)
    except ValueError:
        return


def main() -> None:
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
