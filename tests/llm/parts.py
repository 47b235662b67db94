"""The parts of a message and of its chunks, for comparisons."""

from __future__ import annotations

from typing import Any

from failover_iter.llm import Message


def parts_of(message: Message, items: list[Any]) -> dict[str, Any]:
    """Return what the message has."""
    found = {
        "text": message.text,
        "reasoning": message.reasoning,
        "calls": [(call.id, call.arguments) for call in message.tool_calls],
        "others": [chunk.other for chunk in message.others],
        "opaque": [dict(chunk.opaque) for chunk in items if chunk.opaque],
    }
    return {name: value for name, value in found.items() if value}
