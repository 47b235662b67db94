"""`field`: a member of whatever a provider sent, which may lack it or be of another type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def field(value: object, *names: str) -> Any:
    """Return the attribute or the item at this path; None where something on it is missing."""
    for name in names:
        value = (
            cast("Mapping[str, Any]", value).get(name)
            if isinstance(value, Mapping)
            else getattr(value, name, None)
        )
    return value


def first_of(value: object, *names: str) -> Any:
    """Return the first of these members that is not None."""
    found = (field(value, name) for name in names)
    return next((each for each in found if each is not None), None)


def as_list(value: Any) -> list[Any]:
    """Return a list or tuple as a list, nothing as an empty one, and any other value in a list."""
    if not value:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownArgumentType]
