"""The three trees of one folder, as the engine believes them to be, and the durable ancestor.

The local and the remote tree change when a side tells of itself; the ancestor only when a step
was carried out. The engine's loop alone touches them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter

from towline.core.change import holds
from towline.core.direction import Direction
from towline.core.entry import DIRECTORY, Directory, Entry, File, Symlink, Unsynced, shallow
from towline.core.ignore import Rules
from towline.core.path import by_directory, name_of, parent_of, parents_of
from towline.core.reconcile import Step, reconcile, syncable
from towline.core.summary import digest_of_agreed
from towline.core.tree import Tree
from towline.core.wire.frames import ProtocolError
from towline.core.wire.records import Row
from towline.core.wire.telling import rows_of
from towline.engine.ancestor import Store

ENTRIES_MAX = 1_000_000  # In the machine's tree, some 400 bytes each: ten times a large project.

Noted = Callable[[Sequence[tuple[str, Entry | None]], "int | None"], None]


class Trees:
    """`noted` is called with what was agreed on, and the revision that brought it, if one did.

    `direction`, if there is only one: so that nobody has to ask for that of each path.
    """

    def __init__(
        self,
        store: Store,
        mirror: int,
        direction_of: Callable[[str], Direction],
        noted: Noted | None = None,
        direction: Direction | None = None,
    ) -> None:
        self.ancestor = Tree()
        self.local = Tree()
        self.is_local_gone = False  # The folder is not at its path: nothing in it was deleted.
        self.remote = Tree()
        self._store = store
        self._mirror = mirror
        self._direction_of = direction_of
        self._noted = noted
        self._direction = direction
        self._life = ""  # Whose ancestor this is.

    @property
    def agreed(self) -> bytes | None:
        """The digest of the whole ancestor, if it is known: so the machine need not tell its tree.

        It is known from the end of an engine until something is agreed on.
        """
        return self._store.agreed(self._mirror)

    def take_local(self, found: Tree | None) -> None:
        """Take up what a look at the whole folder has found; None: it is not at its path."""
        self.local = found or Tree()
        self.is_local_gone = self.local.root is None

    def remember_agreed(self) -> None:
        """Write down the digest of the ancestor: this engine ends."""
        if self._life and self.ancestor.root is not None and self.agreed is None:
            self._store.set_agreed(self._mirror, digest_of_agreed(self._life, self.ancestor.root))

    def open_ancestor(self, life: str, rules: Rules) -> None:
        """Take up the ancestor of this life, without what is no longer synced.

        The local tree is to be known: most often that is the very tree that was agreed on, and
        nothing has to be read. And a rule is asked only about what is not in it, which with every
        file of a large folder would take longer than all else.
        """
        if life == self._life:  # Nothing but `agree` and `forget` has changed it since.
            return
        local, agreed = self.local.root, self.agreed
        if local is not None and agreed is not None and digest_of_agreed(life, local) == agreed:
            self.ancestor = Tree(syncable(local))
        else:
            self.ancestor = self._store.open_ancestor(self._mirror, life)
            self.forget(self._left_out(self.ancestor, rules))
        self._life = life

    def take_remote(self, told: Tree, rules: Rules) -> None:
        """Take up what the machine has told, without what is not synced.

        The local tree is to be known.
        """
        for path in self._left_out(told, rules):
            told.put(path, None)
        self.remote = told

    def take_agreed(self, unsynced: Tree, rules: Rules) -> None:
        """Take up that the machine holds the ancestor, and what cannot be synced besides."""
        told = Tree(self.ancestor.root)
        for path, entry in unsynced.walk():
            if isinstance(entry, Unsynced):
                told.put(path, entry)
        self.take_remote(told, rules)

    def _left_out(self, tree: Tree, rules: Rules) -> list[str]:
        return [
            path
            for path, entry in tree.walk()
            if not self.holds_here(path, entry)
            and rules.ignores(path, isinstance(entry, Directory))
        ]

    def holds_here(self, path: str, entry: Entry | None) -> bool:
        """Whether the laptop has a thing of this kind there: then no rule leaves it out."""
        return entry is not None and type(self.local.get(path)) is type(entry)

    def forget_ignored(self, rules: Rules) -> None:
        """Drop what the rules now leave out: that is no deletion on any side."""
        self._drop_ignored(self.local, rules)
        self._drop_ignored(self.remote, rules)
        self.forget(self._drop_ignored(self.ancestor, rules))

    def _drop_ignored(self, tree: Tree, rules: Rules) -> list[str]:
        dropped = [
            path for path, entry in tree.walk() if rules.ignores(path, isinstance(entry, Directory))
        ]
        for path in dropped:
            tree.put(path, None)
        return dropped

    def agree(self, agreed: Iterable[Row], revision: int | None = None) -> None:
        """Both sides hold these entries now; a directory that is new to both, with all in it."""
        made: list[Row] = []
        for directory, rows in by_directory(agreed, itemgetter(0)):
            files = {name_of(path): entry for path, entry in rows if isinstance(entry, File)}
            known = self.ancestor.children_in(directory)
            is_new = known is not None and known.keys().isdisjoint(files)
            if is_new and len(files) == len(rows):
                self.ancestor.add(directory, files)
                made += rows
            else:
                made += self._agreed_one_by_one(rows)
        if made:
            self._store.agree(self._mirror, made)
            if self._noted is not None:
                self._noted(made, revision)

    def recognise(self, carried_out: Sequence[Row], sent: Sequence[Row]) -> None:
        """What the machine holds because it was sent, though the answer got lost, is agreed on.

        `sent` may have a directory with all that is in it: one that got another name. Of one that
        the machine tells it carried out, and that holds something of that still, what it lacks was
        deleted there. Any other of that name may be anybody's: each thing in it counts by itself.
        """
        told = {path for path, _ in carried_out}
        certain, others = list[Row](), list[Row]()
        for row in sent:
            if row[0] in told and self._is_there_in_part(*row):
                certain.append(row)
            else:
                others += map(_as_shallow, rows_of(*row))
        self.agree(
            (path, entry)
            for path, entry in chain(certain, carried_out, others)
            if holds(self.remote.get(path), entry) and not holds(self.ancestor.get(path), entry)
        )

    def _is_there_in_part(self, path: str, entry: Entry | None) -> bool:
        rows = rows_of(path, entry)
        return any(isinstance(part, File) and self.remote.get(at) == part for at, part in rows)

    def _agreed_one_by_one(self, rows: Iterable[Row]) -> list[Row]:
        """Take up what was agreed on; return it with what has to be written besides."""
        made: list[Row] = []
        for path, entry in rows:
            if not path:
                continue
            if entry is not None:
                made += [(parent, DIRECTORY) for parent in self._unknown_parents(path)]
                if self._is_to_be_cleared(path, entry):
                    made.append((path, None))
            made += [(at, shallow(below)) for at, below in self._rows_put(path, entry)]
            self.ancestor.put_shallow(path, entry)
        return made

    def _rows_put(self, path: str, entry: Entry | None) -> Iterable[tuple[str, Entry | None]]:
        """What `put_shallow` puts: a directory that is there already keeps what is in it."""
        if isinstance(entry, Directory) and not isinstance(self.ancestor.get(path), Directory):
            return rows_of(path, entry)
        return [(path, entry)]

    def _is_to_be_cleared(self, path: str, entry: Entry) -> bool:
        """Whether a directory was agreed on where there is none any more."""
        return not isinstance(entry, Directory) and isinstance(self.ancestor.get(path), Directory)

    def gone_below(self, path: str) -> list[str]:
        """Return what was agreed on below `path` and is on neither side any more."""
        return [
            at
            for at, _ in self.ancestor.walk(path)
            if self.local.get(at) is None and self.remote.get(at) is None
        ]

    def left_alone(self, gone: Iterable[str]) -> set[str]:
        """Return the directories that held one of these paths and that one side lacks.

        Whether they stay depends on what is left in them.
        """
        held = {path.rpartition("/")[0] for path in gone} - {""}
        return {at for at in held if (self.local.get(at) is None) != (self.remote.get(at) is None)}

    def _unknown_parents(self, path: str) -> list[str]:
        """Return the directories above `path` that become part of the ancestor with it."""
        if isinstance(self.ancestor.get(parent_of(path)), Directory):
            return []
        parents = parents_of(path)
        return [at for at in parents if not isinstance(self.ancestor.get(at), Directory)]

    def forget(self, paths: Iterable[str]) -> None:
        """Act as if the sides had never agreed on these paths and all that is below them."""
        gone: list[tuple[str, Entry | None]] = [(path, None) for path in paths if path]
        for path, _ in gone:
            self.ancestor.put(path, None)
        if gone:
            self._store.agree(self._mirror, gone)

    def doubt_lately_agreed(self, boot: str, sent: Iterable[str]) -> None:
        """Forget what the machine lost, if it was started anew: that is nobody's edit there.

        When its power fails, files that were written lately may be left empty, old or absent. So
        what was agreed lately, or `sent` and not answered, counts only if it is still there. The
        machine's tree is to be known, and nothing agreed on in this life yet.
        """
        before = self._store.boot(self._mirror)
        if boot == before:
            return
        if before:
            self.forget(
                path
                for path in (*self._store.lately(self._mirror), *sent)
                if self._differs_there(path)
            )
        self._store.set_boot(self._mirror, boot)

    def _differs_there(self, path: str) -> bool:
        return shallow(self.remote.get(path)) != shallow(self.ancestor.get(path))

    def blocked_there(self, paths: Iterable[str]) -> Iterator[str]:
        """Yield those of `paths` where a change of the laptop cannot go.

        Something that is not synced stands in its place on the machine.
        """
        for path in paths:
            local = self.local.get(path)
            stands = isinstance(self.remote.get(path), Unsynced)
            goes = self._direction_of(path) is not Direction.PULL and not isinstance(
                local, Unsynced
            )
            if stands and goes and local != self.ancestor.get(path):
                yield path

    def blocked_here(self, paths: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Yield what cannot come to the laptop at and below each of `paths`, with its size.

        Something that is not synced stands in its place there.
        """
        for top in paths:
            if not isinstance(self.local.get(top), Unsynced):
                continue
            for path, entry in rows_of(top, self.remote.get(top)):
                is_new = isinstance(entry, File | Symlink) and entry != self.ancestor.get(path)
                if is_new and self._direction_of(path) is not Direction.PUSH:
                    yield path, entry.size if isinstance(entry, File) else 0

    def steps(self, paths: Iterable[str]) -> Iterator[Step]:
        """Yield what it takes for both sides to agree at and below each of these paths."""
        # One path's scope may lie below another's: no path is decided about twice.
        for scope in topmost({self._scope(path) for path in topmost(paths)}):
            yield from reconcile(
                self.ancestor.get(scope),
                self.local.get(scope),
                self.remote.get(scope),
                self._direction or self._direction_of,
                scope,
            )

    def _scope(self, path: str) -> str:
        """Return where to reconcile: higher up where one side has a file in a parent's place.

        Or nothing, where there was something: what the other side still has in it decides.
        """
        local, remote = self.local.get(path), self.remote.get(path)
        if local is not None and remote is not None:
            return path  # All above it is a directory, on both sides.
        scope, is_nowhere = path, local is None and remote is None
        for parent in parents_of(path):
            for tree in (self.local, self.remote):
                here = tree.get(parent)
                is_gone = here is None and (is_nowhere or self.ancestor.get(parent) is not None)
                if is_gone or not isinstance(here, Directory | None):
                    scope = parent
        return scope


def topmost(paths: Iterable[str]) -> list[str]:
    """Return the paths, sorted, without those that lie below another one of them."""
    chosen = set(paths)
    if "" in chosen:
        return [""]
    return sorted(path for path in chosen if chosen.isdisjoint(parents_of(path)))


def check_size(entries: int) -> None:
    """Raise ProtocolError if a machine tells of more than any folder holds."""
    if entries > ENTRIES_MAX:
        raise ProtocolError(f"the machine's folder holds more than {ENTRIES_MAX} entries")


def _as_shallow(row: Row) -> Row:
    return row[0], shallow(row[1])
