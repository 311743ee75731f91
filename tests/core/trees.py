"""Strategies for trees: random ones, and perturbations of one, as two sides of one project are.

Independent random trees share no paths and test nothing; all three trees here grow from one.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from towline.core.entry import Directory, Entry, File, Symlink

# Names of two Unicode forms, of two cases, with spaces and of bytes that are no UTF-8.
NAMES = ("a", "b", "A", "c d", "\u00e9", "e\u0301", "x.py", "bad\udcff")

names = st.sampled_from(NAMES)
files = st.builds(
    File, st.sampled_from([b"1" * 16, b"2" * 16, b"3" * 16, b"4" * 16]), st.booleans()
)
leaves = files | st.builds(Symlink, st.sampled_from(["a", "b/x.py"]))
entries = st.recursive(
    leaves,
    lambda below: st.builds(Directory, st.dictionaries(names, below, max_size=3)),
    max_leaves=8,
)
roots = st.builds(Directory, st.dictionaries(names, entries, max_size=4))


@st.composite
def perturbed(draw: st.DrawFn, root: Directory) -> Directory:
    """Return `root` after a few edits, as its user may have made."""
    for _ in range(draw(st.integers(0, 3))):
        root = _edited(draw, root)
    return root


@st.composite
def three_trees(draw: st.DrawFn) -> tuple[Directory, Directory, Directory]:
    """Ancestor, local and remote, in this order."""
    ancestor = draw(roots)
    return ancestor, draw(perturbed(ancestor)), draw(perturbed(ancestor))


def _edited(draw: st.DrawFn, directory: Directory) -> Directory:
    name = draw(names)
    child = directory.children.get(name)
    if isinstance(child, Directory) and draw(st.booleans()):
        return _with(directory.children, name, _edited(draw, child))
    return _with(directory.children, name, draw(st.none() | entries))


def _with(children: Mapping[str, Entry], name: str, entry: Entry | None) -> Directory:
    edited = {other: child for other, child in children.items() if other != name}
    return Directory(edited if entry is None else {**edited, name: entry})
