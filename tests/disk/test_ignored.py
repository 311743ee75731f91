"""Asked by directory or one by one: the same changes are ignored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.core.trees import names
from towline.core.change import Change
from towline.core.entry import DIRECTORY, File
from towline.core.ignore import DEFAULT_SOURCE, Rules, Source, SourceKind
from towline.disk.ignored import ignored_among

LINES = ("*.log", "/a", "b/", "c/d", "!c/b")
RULES = Rules([DEFAULT_SOURCE, Source(SourceKind.GIT_IGNORE, "", ".gitignore", LINES)])
A = File(b"a")

paths = st.lists(st.one_of(names, st.sampled_from("abcd")), min_size=1, max_size=3).map("/".join)
changes = st.builds(
    Change,
    st.one_of(paths, paths.map("{}.log".format)),
    st.sampled_from([None, A]),
    st.sampled_from([A, DIRECTORY]),
)


@given(st.lists(changes))
def test_by_directory_is_as_one_by_one(group: list[Change]) -> None:
    one_by_one = [RULES.ignores(change.path, change.new is DIRECTORY) for change in group]
    assert ignored_among(group, RULES) == one_by_one
