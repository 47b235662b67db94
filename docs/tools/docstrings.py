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
    """Remove the `::` of reStructuredText, show examples as code, and fields as a list."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite each docstring when griffe reads it."""
        if obj.docstring is not None:
            text = LITERAL.sub(r"\1", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(r"\1Examples:", text)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Move what is said of the fields into the docstring of their class."""
        fields = [each for each in cls.attributes.values() if each.docstring is not None]
        if not fields or cls.docstring is None:
            return
        text, example, rest = cls.docstring.value.partition("\nExamples:\n")
        text = f"{text.rstrip()}\n\nAttributes:\n"
        for field in fields:
            about = "\n".join(f"        {line}" for line in field.docstring.value.splitlines())
            text += f"    {field.name}: {about.lstrip()}\n"
            field.docstring = None
        cls.docstring.value = text + example + rest
