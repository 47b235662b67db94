"""A mkdocstrings extension that removes reStructuredText markup which Markdown does not need."""

from __future__ import annotations

import re
from typing import Any

import griffe

#: `::` introduces an indented block in reStructuredText. Markdown needs no such sign.
LITERAL = re.compile(r"^ *::\n|(:):$", re.MULTILINE)


class WithoutLiteralSigns(griffe.Extension):
    """Remove the `::` of reStructuredText from docstrings."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite each docstring when griffe reads it."""
        if obj.docstring is not None:
            obj.docstring.value = LITERAL.sub(r"\1", obj.docstring.value)
