"""A mkdocstrings extension: docstrings, which are written for `help()`, as Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

#: `::` introduces an indented block in reStructuredText. Markdown needs no such sign.
LITERAL = re.compile(r"^ *::\n|(:):$", re.MULTILINE)
#: The heading of a section. In the plural it is a section of doctests, which are shown as code.
EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)


class AsMarkdown(griffe.Extension):
    """Remove the `::` of reStructuredText, and show examples as code."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite each docstring when griffe reads it."""
        if obj.docstring is not None:
            text = LITERAL.sub(r"\1", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(r"\1Examples:", text)
