"""The reloader: notes what may have changed, and takes it over when asked.

It watches no files and knows no notebook: paths come in, a `Report` comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence

from towline.notebook.reload.report import Report


class Reloader:
    """Keeps the modules below `roots` as their files are. Make it early: what is imported later
    is seen as it is imported, what was imported before is taken as its file is now."""

    def __init__(
        self, roots: Sequence[str], namespace: MutableMapping[str, object] | None = None
    ) -> None:
        """`roots`: absolute folders that are on `sys.path`; modules below them are ours.
        `namespace`: the notebook's; its names from `from x import y` follow."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop seeing imports. What was imported stays as it is."""
        raise NotImplementedError

    def note(self, paths: Iterable[str]) -> None:
        """Say which absolute paths may have changed, appeared or gone. Cheap; one thread."""
        raise NotImplementedError

    def note_all(self) -> None:
        """Say that anything below the roots may have changed: looks at our modules' files."""
        raise NotImplementedError

    def saw(self, cell: str) -> None:
        """Take note of the `from x import y as z` of a cell that ran. Optional: without it,
        a name of the notebook is known by the object it holds."""
        raise NotImplementedError

    def reload(self) -> Report:
        """Take over what was noted, all of it or nothing. Never raises for the user's code;
        after a KeyboardInterrupt all is as it was and the notes are kept."""
        raise NotImplementedError

    def why(self, name: str) -> str:
        """Say in a sentence what happened last to an object or a module."""
        raise NotImplementedError

    @property
    def modules(self) -> int:
        """How many modules are watched."""
        raise NotImplementedError
