"""Docstrings are read in a terminal first: on the site leave out what only stands there."""

from __future__ import annotations

import re
from typing import Any

import griffe

#: The sign that an indented block follows: Markdown needs none.
LITERAL = re.compile(r"^ *::\n|(:):$", re.MULTILINE)


class WithoutLiteralSigns(griffe.Extension):
    """Leave out the `::` of reStructuredText."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Look at each docstring once, when it is read."""
        if obj.docstring is not None:
            obj.docstring.value = LITERAL.sub(r"\1", obj.docstring.value)
