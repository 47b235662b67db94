"""Docstrings are read in a terminal first: show their tables on the site as they stand there."""

from __future__ import annotations

import re
from typing import Any

import griffe

TABLE = re.compile(
    r"^(?P<indent> *)={3,}(?: +={3,})+\n(?:.*\S.*\n)*?(?P=indent)={3,}.*$(?=\n\s*\n)", re.MULTILINE
)

#: The sign that an indented block follows: Markdown needs none.
LITERAL = re.compile(r"^ *::\n|(:):$", re.MULTILINE)


class FencedTables(griffe.Extension):
    """Put the simple tables of reStructuredText between fences, and leave out its `::`."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Look at each docstring once, when it is read."""
        if obj.docstring is not None:
            text = TABLE.sub(_fenced, obj.docstring.value)
            obj.docstring.value = LITERAL.sub(r"\1", text)


def _fenced(table: re.Match[str]) -> str:
    indent = table["indent"]
    return f"{indent}```text\n{table[0]}\n{indent}```"
