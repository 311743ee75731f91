"""Plans that look like an accident: an emptied side, most of the laptop about to be deleted.

Such a plan is held until a person accepts or refuses it. This module only recognises it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from towline.core.entry import Directory, Entry
from towline.core.reconcile import Step, Verdict

EMPTIED_MIN = 2  # Children the ancestor's root must have had: deleting an only file is ordinary.
DELETIONS_MIN = 20  # Fewer files than this are ordinary work, whatever their share.
DELETIONS_SHARE = 0.25  # Of all files both sides agreed on.


def why_hold(
    steps: Sequence[Step], ancestor: Entry | None, local: Entry | None, remote: Entry | None
) -> str | None:
    """Say why the plan must not be carried out unasked, or return None.

    The entries are the roots of the three trees.
    """
    known = len(ancestor.children) if isinstance(ancestor, Directory) else 0
    if known >= EMPTIED_MIN:
        for side, root in (("laptop", local), ("machine", remote)):
            if _is_empty(root):
                return f"the folder on the {side} is empty, and held {known} entries before"
    doomed = sum(count_files(step.entry) for step in _losses(steps, local))
    if doomed >= DELETIONS_MIN:
        total = count_files(ancestor)
        if doomed >= DELETIONS_SHARE * total:
            return f"the machine's side deleted {doomed} of {total} files"
    return None


def count_files(entry: Entry | None) -> int:
    """Count everything at and below an entry that is not a directory."""
    if isinstance(entry, Directory):
        return sum(count_files(child) for child in entry.children.values())
    return 0 if entry is None else 1


def _is_empty(root: Entry | None) -> bool:
    return root is None or (isinstance(root, Directory) and not root.children)


def _losses(steps: Iterable[Step], local: Entry | None) -> Iterable[Step]:
    """Yield, as steps that carry what would go, the deletions on the laptop."""
    for step in steps:
        if step.verdict is Verdict.PULL and step.entry is None:
            yield Step(step.path, step.verdict, _entry_at(local, step.path))


def _entry_at(root: Entry | None, path: str) -> Entry | None:
    entry = root
    for name in path.split("/") if path else ():
        if not isinstance(entry, Directory):
            return None
        entry = entry.children.get(name)
    return entry
