"""Plain messages (role and content) in the form of each provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeGuard

from failover_iter.llm._status import as_mapping

#: The arguments of one request.
Arguments: TypeAlias = dict[str, Any]


def is_plain(message: object, *roles: str) -> TypeGuard[Mapping[str, Any]]:
    """Whether a message is a role of these with a text; all else is the provider's own form."""
    said = as_mapping(message)
    return said.get("role") in roles and isinstance(said.get("content"), str)


def as_list(value: Any) -> list[Any]:
    """A list as it is, anything else in one."""
    return value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]


def split_system(messages: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """The texts of the system messages, and the others."""
    system: list[str] = []
    others: list[Any] = []
    for message in messages:
        if is_plain(message, "system", "developer"):
            system.append(message["content"])
        else:
            others.append(message)
    return system, others
