"""Reload: changed modules are taken over into a living process, as one set or not at all.

What changed is told to `Reloader.note`; `Reloader.reload` carries it out and reports. IPython is
not known here, and nothing is printed.
"""

from __future__ import annotations

from towline.notebook.reload.reloader import Reloader
from towline.notebook.reload.report import Failure, Left, Report

__all__ = ["Failure", "Left", "Reloader", "Report"]
