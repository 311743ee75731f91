"""The line of a key is found in whatever shape TOML lets it be written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.config.locate import Keys, line_of

DOCUMENT = """\
# [tool.towline] in a comment
top = "# no comment"
text = '''
[tool.towline]
machine = "no"
'''
quoted = \"\"\"a \\\"\"\" [x] \"\"\"\"\"
escape = "\\"] = ["   # "
list = [1, [2, 3], # ]
  "a]",
  { x = 1, y.z = [
    5] },
]
dotted.one . "two".three = 3
"quoted key" = 1
"caf\\u00e9" = 2
'literal "key"' = 1979-05-27T07:32:00Z

[tool . "towline"]
machine = "gpu"
inline = {a = 1, b = {c = "}"}, d = ['}']}
[tool.towline.ssh]
port = 22

[[tool.towline.sync]]
source = "a"
[[tool.towline.sync]]
source = "b"
[tool.towline.sync.more]
x = 1
[[tool.towline.sync.deep]]
y = 1
[[tool.towline.sync.deep]]
y = 2
"""

LINES: list[tuple[Keys, int]] = [
    (("top",), 2),
    (("text",), 3),
    (("quoted",), 7),
    (("escape",), 8),
    (("list",), 9),
    (("list", 0), 9),
    (("list", 1, 1), 9),
    (("list", 2), 10),
    (("list", 3), 11),
    (("list", 3, "x"), 11),
    (("list", 3, "y", "z"), 11),
    (("list", 3, "y", "z", 0), 12),
    (("dotted", "one", "two", "three"), 14),
    (("dotted", "one"), 14),
    (("quoted key",), 15),
    (("caf\u00e9",), 16),
    (('literal "key"',), 17),
    (("tool",), 19),
    (("tool", "towline"), 19),
    (("tool", "towline", "machine"), 20),
    (("tool", "towline", "inline", "b", "c"), 21),
    (("tool", "towline", "inline", "d", 0), 21),
    (("tool", "towline", "ssh"), 22),
    (("tool", "towline", "ssh", "port"), 23),
    (("tool", "towline", "sync"), 25),
    (("tool", "towline", "sync", 0, "source"), 26),
    (("tool", "towline", "sync", 1), 27),
    (("tool", "towline", "sync", 1, "source"), 28),
    (("tool", "towline", "sync", 1, "more", "x"), 30),
    (("tool", "towline", "sync", 1, "deep", 1, "y"), 34),
    (("tool", "towline", "absent"), 19),
    (("nothing of it",), 1),
]


@pytest.mark.parametrize(("keys", "line"), LINES)
def test_the_line_of_a_key(keys: Keys, line: int) -> None:
    tomllib.loads(DOCUMENT)
    assert line_of(DOCUMENT, keys) == line


def places(value: object, above: Keys = ()) -> Iterator[tuple[Keys, object]]:
    items: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, dict):
        items = iter(value.items())
    elif isinstance(value, list):
        items = iter(enumerate(value))
    for step, inner in items:
        yield (*above, step), inner
        yield from places(inner, (*above, step))


def written(value: object) -> str:
    """Write TOML on one line, except that arrays and what is in them take a line each."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(k)} = {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + "".join(f"{written(item)}, # ]\n" for item in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\u{ord(char):04x}" for char in value) + '"'
    return str(value)


texts = st.text("ab.[]{}#=\"'\\\n,", max_size=4)
values = st.recursive(
    st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(document=st.dictionaries(texts, values, max_size=4))
def test_every_key_and_element_of_any_document_is_found(document: dict[str, object]) -> None:
    """A key begins somewhere in its line, an array's element begins its line."""
    text = "\n".join(f"{written(key)} = {written(value)}" for key, value in document.items())
    assert tomllib.loads(text) == document
    lines = text.split("\n")
    for keys, value in places(document):
        here = lines[line_of(text, keys) - 1]
        first = written(value).split("\n")[0]
        if isinstance(keys[-1], str):
            assert f"{written(keys[-1])} = {first}" in here
        else:
            assert here.startswith(first)


@given(text=st.text("ab=[]{}\"'#.,\n \\", max_size=40))
def test_what_is_no_toml_ends_as_well(text: str) -> None:
    assert 1 <= line_of(text, ("a", 0, "b")) <= text.count("\n") + 1
