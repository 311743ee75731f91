"""Fuzz target: a ticket from any bytes is refused in one sentence, or is one that can be written.

The input is the payload, sealed as a ticket of ours would be: what a person mistypes is caught by
the check, what somebody makes up is not. `python fuzz/fuzz_ticket.py`.
"""

from __future__ import annotations

import base64
import sys

from towline.core.ticket import TicketError, decode, encode, seal


def test_one_input(content: bytes) -> None:
    payload = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    try:
        ticket = decode(seal("box", payload))
    except TicketError as error:
        if "\n" in str(error):
            raise AssertionError(f"not one sentence: {error}") from error
        return
    if decode(encode(ticket)) != ticket:
        raise AssertionError(f"not written as it was read: {ticket}")


def main() -> None:
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
