"""What is left out of every project unless a rule of its own brings it back."""

from __future__ import annotations

from towline.core.rule import Source, SourceKind

DEFAULTS: tuple[tuple[str, str], ...] = (
    (".venv", "a virtual environment: bound to one machine's paths and Python"),
    ("venv", "a virtual environment: bound to one machine's paths and Python"),
    (".direnv", "a virtual environment: bound to one machine's paths and Python"),
    (".pixi", "a virtual environment: bound to one machine's paths and Python"),
    ("__pypackages__/", "a virtual environment: bound to one machine's paths and Python"),
    ("node_modules/", "installed packages: built for one machine"),
    (".eggs/", "installed packages: built for one machine"),
    ("*.egg-info/", "what an installation notes about itself, with paths of one machine"),
    ("__pycache__/", "compiled by each Python for itself"),
    ("*.py[co]", "compiled by each Python for itself"),
    (".tox/", "environments of a test runner"),
    (".nox/", "environments of a test runner"),
    (".mypy_cache/", "a cache"),
    (".ruff_cache/", "a cache"),
    (".pytest_cache/", "a cache"),
    (".hypothesis/", "a cache"),
    (".ipynb_checkpoints/", "Jupyter's own copies of notebooks"),
    (".hg/", "a repository's own files: never whole when copied one by one"),
    (".svn/", "a repository's own files: never whole when copied one by one"),
    (".idea/", "an editor's state: interpreters and windows of one laptop"),
    (".DS_Store", "a file manager's notes"),
    ("Thumbs.db", "a file manager's notes"),
    ("*.sw[opx]", "Vim's swap file"),
    ("4913", "Vim's test whether a directory can be written"),
    ("!4913/", "a directory of that name is not Vim's"),
    ("*~", "an editor's copy from before the save"),
    (".#*", "Emacs' lock"),
    ("\\#*#", "Emacs' copy of what is not saved yet"),
    ("*___jb_tmp___", "a JetBrains editor's file in the middle of a save"),
    ("*___jb_old___", "a JetBrains editor's file in the middle of a save"),
)
"""(pattern, why). `.vscode/` is not here: its settings serve an editor on the machine as well.

`env/` is not here either: it is as often a package (of environments to learn in) as a virtual
environment, and the environments that tools make today ignore themselves by a file within.
"""

DEFAULT_SOURCE = Source(
    SourceKind.DEFAULT, "", "towline's defaults", tuple(pattern for pattern, _ in DEFAULTS)
)
