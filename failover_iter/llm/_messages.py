"""Helpers that convert plain messages (role and content) into a provider's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeGuard

from failover_iter.llm._status import as_mapping

#: The arguments of one request.
Arguments: TypeAlias = dict[str, Any]


def is_plain(message: object, *roles: str) -> TypeGuard[Mapping[str, Any]]:
    """Whether a message is a text by one of these roles; any other is in the provider's form."""
    fields = as_mapping(message)
    return fields.get("role") in roles and isinstance(fields.get("content"), str)


def split_system(messages: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """Return the texts of the system messages, and the other messages."""
    system: list[str] = []
    others: list[Any] = []
    for message in messages:
        if is_plain(message, "system", "developer"):
            system.append(message["content"])
        else:
            others.append(message)
    return system, others
