"""Where IPython lets a cell through: what is done before each cell, and how one is stopped.

A hook that raises stops no cell: IPython prints the error and runs the cell all the same. So the
hook before a cell only records a verdict, Ctrl-C included, and what stops the cell is the walk over
its syntax tree that comes next, which may reject it.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from IPython.core.error import InputRejected

from towline.notebook import words
from towline.notebook.autoreload import Autoreload
from towline.notebook.barrier import Barrier, Verdict
from towline.notebook.waiting import Waiting

CELLS_KEPT = 500  # Of `%towline where`.
OURS = ("%towline", "%load_ext", "%unload_ext")


class CellNotRunError(InputRejected):  # type: ignore[misc,unused-ignore]
    """Why the cell was not run, as one line instead of a traceback."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def _render_traceback_(self) -> list[str]:
        return [self.reason]


class Gate:
    """Registers itself with `shell`, an `InteractiveShell`, and takes itself out again."""

    def __init__(self, shell: Any, barrier: Barrier, find_projects: Callable[[], object]) -> None:
        self.is_on = True
        self.cells: deque[tuple[int, tuple[tuple[str, int | None], ...]]] = deque(maxlen=CELLS_KEPT)
        self._shell = shell
        self._barrier = barrier
        self._find_projects = find_projects
        self._here = threading.local()  # Subshells run cells in threads of their own.
        self._finish_metadata: Callable[..., Any] | None = None
        self._autoreload = Autoreload(shell)

    def open(self) -> None:
        events = self._shell.events
        events.register("pre_execute", self._before_anything)
        events.register("pre_run_cell", self._before_cell)
        events.register("post_run_cell", self._after_cell)
        self._shell.ast_transformers.append(self)
        self._mark_replies()

    def close(self) -> None:
        events = self._shell.events
        for name, hook in (
            ("pre_execute", self._before_anything),
            ("pre_run_cell", self._before_cell),
            ("post_run_cell", self._after_cell),
        ):
            events.unregister(name, hook)
        if self in self._shell.ast_transformers:
            self._shell.ast_transformers.remove(self)
        self._autoreload.pass_over(())
        if self._finish_metadata is not None:
            self._shell.kernel.finish_metadata = self._finish_metadata

    def is_before_first_cell(self) -> bool:
        """Whether this is a kernel that is just starting: its settings load the extension."""
        return getattr(self._shell, "kernel", None) is not None and not self._request()

    def visit(self, tree: ast.AST) -> ast.AST:
        """Reject the cell that is about to run, if its verdict says so."""
        reason, self._here.why_not = getattr(self._here, "why_not", ""), ""
        if reason:
            raise CellNotRunError(reason)
        return tree

    # -- The hooks ----------------------------------------------------------------------------

    def _before_cell(self, info: Any = None) -> None:
        self._here.why_not = ""
        request = self._request()
        # A cell that is run by a cell belongs to it: what it runs on does not change half-way.
        if not self.is_on or (request and request == getattr(self._here, "request", "")):
            return
        self._here.request = request
        self._here.why_not = self._cross(getattr(info, "raw_cell", ""))

    def _cross(self, cell: str) -> str:
        """Have everything in step; return why the cell may not run, if it may not."""
        waiting = Waiting("what was saved on the laptop")
        try:
            self._find_projects()
            waiting.begin()  # What that took, and said, is over.
            verdict = self._barrier.before_cell(waiting)
        except KeyboardInterrupt:
            waiting.end()
            return f"{words.PREFIX}cell NOT run: interrupted while it waited for what was saved"
        except Exception as error:  # Ours; nobody knows on what the cell would run.
            waiting.end()
            return (
                (
                    f"{words.PREFIX}cell NOT run: a fault of towline's: {type(error).__name__}:"
                    f" {error} - `%towline off` runs cells without it"
                )
                if not _is_ours(cell)
                else ""
            )
        waiting.end()
        self._say(verdict)
        if verdict.why_not and not _is_ours(cell):
            return verdict.why_not
        self._record()
        return ""

    def _before_anything(self) -> None:
        """Before what is no cell, such as a widget's callback: load what is here, wait never."""
        if not self.is_on or self._is_cell():
            return
        try:
            self._say(self._barrier.in_between())
        except KeyboardInterrupt:
            return

    def _after_cell(self, result: Any = None) -> None:
        self._here.why_not = ""
        cell = getattr(getattr(result, "info", None), "raw_cell", "")
        self._barrier.after_cell(cell if getattr(result, "success", False) else "")
        self._autoreload.pass_over(self._barrier.modules() if self.is_on else ())

    # -- What is told -------------------------------------------------------------------------

    def _record(self) -> None:
        revisions = tuple((p.name, p.revision) for p in self._barrier.projects)
        self.cells.append((self._shell.execution_count, revisions))

    def _say(self, verdict: Verdict) -> None:
        for line in verdict.lines:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    def _mark_replies(self) -> None:
        """Have each reply to a cell name the revisions in its metadata."""
        kernel = getattr(self._shell, "kernel", None)
        finish = getattr(kernel, "finish_metadata", None)
        if finish is None:
            return

        def finish_metadata(*arguments: Any, **named: Any) -> Any:
            metadata = finish(*arguments, **named)
            known = {p.name: p.revision for p in self._barrier.projects if p.revision is not None}
            if self.is_on and known:
                metadata["towline"] = {"revisions": known}
            return metadata

        self._finish_metadata = finish
        self._shell.kernel.finish_metadata = finish_metadata

    # -- What is asked of the kernel ----------------------------------------------------------

    def _request(self) -> str:
        """Return what names the request under way; nothing outside a kernel."""
        return str(self._part("header").get("msg_id", ""))

    def _is_cell(self) -> bool:
        """Whether the hook before a cell follows: not for comms, nor for what is run in silence."""
        kind = self._part("header").get("msg_type", "execute_request")
        return kind == "execute_request" and not self._part("content").get("silent", False)

    def _part(self, name: str) -> dict[str, Any]:
        """Return a part of the message that the kernel answers just now."""
        kernel = getattr(self._shell, "kernel", None)
        if kernel is None:
            return {}
        try:
            part = kernel.get_parent().get(name, {})
        except Exception:  # Kernels differ; none of them may fail for a question of ours.
            return {}
        return cast("dict[str, Any]", part) if isinstance(part, dict) else {}


def _is_ours(cell: str) -> bool:
    """Whether a cell only speaks to towline: that must be possible also when nothing else is."""
    lines = [line.strip() for line in cell.strip().splitlines() if line.strip()]
    return bool(lines) and all(
        line.startswith(("%towline", "%load_ext", "%unload_ext")) for line in lines
    )
