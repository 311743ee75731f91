"""A machine that says no more than that its tree is as agreed is believed just as far as that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.engine.one_sided import BEGUN, RULES, live_over, run_until_quiet
from towline.core.entry import File, digest_of
from towline.core.summary import life_of
from towline.core.wire.messages import (
    Apply,
    Begin,
    Message,
    SetRules,
    TreeEnd,
    TreePart,
    decode,
    encode,
)
from towline.disk.folder import Folder
from towline.disk.replica import Replica
from towline.engine.live import Live

CONTENT = b"x = 1\n"
FILE = File(digest_of(CONTENT), size=len(CONTENT))
AS_AGREED = TreeEnd(as_agreed=True)


class Machine:
    """A channel of a machine that says this; `meanwhile` is called before AS_AGREED is said."""

    def __init__(self, said: list[Message], meanwhile: Callable[[], None]) -> None:
        self.heard: list[Message] = []
        self._said = said
        self._meanwhile = meanwhile
        self._spoken_to = anyio.Event()

    async def send(self, message: bytes) -> None:
        self.heard.append(decode(message))
        self._spoken_to.set()

    async def receive(self) -> bytes:
        await self._spoken_to.wait()
        if not self._said:
            await anyio.sleep_forever()
        if self._said[0] == AS_AGREED:
            self._meanwhile()
        return encode(self._said.pop(0))


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """A folder with a file that was agreed on, by an engine that has ended."""
    (tmp_path / "x.py").write_bytes(CONTENT)
    live = live_over(Replica(Folder(tmp_path), RULES, host="laptop"))
    live.trees.open_ancestor(life_of("life", BEGUN.incarnation), RULES)
    live.trees.agree([("x.py", FILE)])
    live.trees.remember_agreed()
    return live


def spoken(
    live: Live, said: list[Message], meanwhile: Callable[[], None] = lambda: None
) -> list[Message]:
    """Return what the machine hears in a life in which it says this."""
    machine = Machine(said, meanwhile)
    anyio.run(run_until_quiet, live, machine, Machine([], meanwhile))
    return machine.heard


def test_its_tree_is_the_ancestor_and_there_is_nothing_to_do(live: Live) -> None:
    agreed = live.trees.agreed
    (begin,) = spoken(live, [BEGUN, AS_AGREED])
    assert isinstance(begin, Begin)
    assert begin.agreed == agreed is not None
    assert dict(live.trees.remote.walk()) == {"x.py": FILE}
    assert live.trees.agreed == agreed


def test_it_has_to_tell_all_if_something_was_forgotten_meanwhile(live: Live) -> None:
    told = [TreePart((("x.py", FILE),)), TreeEnd()]
    heard = spoken(live, [BEGUN, AS_AGREED, *told], lambda: live.trees.forget(["x.py"]))
    assert [type(message) for message in heard] == [Begin, SetRules]
    assert dict(live.trees.remote.walk()) == {"x.py": FILE}
    assert dict(live.trees.ancestor.walk()) == {"x.py": FILE}


def test_what_a_machine_lost_that_was_started_anew_is_no_edit_made_there(live: Live) -> None:
    live.trees.doubt_lately_agreed("one", ())
    empty = File(digest_of(b""), size=0)
    said = [replace(BEGUN, boot="two"), TreePart((("x.py", empty),)), TreeEnd()]
    heard = spoken(live, said)
    change = next(m.changes[0] for m in heard if isinstance(m, Apply))
    assert (change.path, change.old, change.new) == ("x.py", empty, FILE)
    assert change.keep is not None
    assert live.trees.local.get("x.py") == FILE


def test_what_it_has_kept_stays_agreed_on(live: Live) -> None:
    live.trees.doubt_lately_agreed("one", ())
    agreed = live.trees.agreed
    (begin,) = spoken(live, [replace(BEGUN, boot="two"), AS_AGREED])
    assert isinstance(begin, Begin)
    assert live.trees.agreed == agreed is not None
