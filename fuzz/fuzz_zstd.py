"""Fuzz target: any bytes are parts of a stream of zstd of the size told, or a `ValueError`.

With atheris: `python fuzz/fuzz_zstd.py`. `test_one_input` needs the system's libzstd.
"""

from __future__ import annotations

import sys

from towline.agent.libzstd import Stream, load

LIBRARY = load()


def test_one_input(data: bytes) -> None:
    """Raise if the library gives back another size than was asked for."""
    if LIBRARY is None:
        raise RuntimeError("the system's libzstd is not there")
    stream, size = Stream(LIBRARY), len(data) % 70_000
    for part in data.split(b"|part|"):
        try:
            assert len(stream.decompress(part, size)) == size
        except ValueError:
            return


def main() -> None:
    import atheris  # type: ignore[import-not-found]

    atheris.instrument_all()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
