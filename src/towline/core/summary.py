"""A whole directory by one digest: equal where all that is in it is equal.

Two sides that compare it know of each other's tree without a word of what is in it. Nothing here
remembers a digest, or says where two trees differ.
"""

from __future__ import annotations

from towline.core.digest import Hasher, digest_of
from towline.core.entry import Directory, Entry, File, Symlink, Unsynced
from towline.core.path import encode_path, join
from towline.core.steps import Steps, run_to_end


def digest_of_directory(directory: Directory) -> bytes:
    """Return the digest of all that is in it."""
    return run_to_end(_digest_steps(directory, with_unsynced=True))


def digest_of_agreed(life: str, root: Directory) -> bytes:
    """Return the digest of what is synced of a tree, in one life of both sides' folders.

    `life` is part of it: what was agreed on with another machine is never meant.
    """
    return run_to_end(agreed_steps(life, root))


def agreed_steps(life: str, root: Directory) -> Steps[bytes]:
    """As `digest_of_agreed`, a directory with each step."""
    digest = yield from _digest_steps(root, with_unsynced=False)
    return digest_of(life.encode() + b"\0" + digest)


def life_of(laptop: str, machine: str) -> str:
    """Return the name of a life, given the incarnations of the two folders."""
    return f"{laptop} {machine}"


def _digest_steps(directory: Directory, *, with_unsynced: bool) -> Steps[bytes]:
    """Take in a directory at a time: its path, its names, then what each of them is."""
    hasher = Hasher()
    pending = [("", directory)]
    while pending:
        at, here = pending.pop()
        known = here.children
        names = sorted(n for n in known if with_unsynced or not isinstance(known[n], Unsynced))
        children = [known[name] for name in names]
        told = "\0".join([at, str(len(names)), *names, ""])
        hasher.update(encode_path(told) + b"".join(map(_mark, children)))
        pending += [
            (join(at, name), child)
            for name, child in zip(names, children, strict=True)
            if isinstance(child, Directory)
        ]
        yield
    return hasher.digest()


def _mark(entry: Entry) -> bytes:
    """Return what an entry is, so that it is clear where it ends."""
    if isinstance(entry, File):
        return (b"x" if entry.executable else b"f") + entry.digest
    if isinstance(entry, Symlink):
        return b"l%s\0" % encode_path(entry.target)
    return b"d" if isinstance(entry, Directory) else b"u"
