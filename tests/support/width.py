"""The width of a text in a terminal."""

from __future__ import annotations

from unicodedata import category, east_asian_width


def width(text: str) -> int:
    """How many columns it takes in a terminal, counted here once more."""
    marks = ("Mn", "Me")
    return sum(
        0 if category(char) in marks else 1 + (east_asian_width(char) in "WF") for char in text
    )
