"""The parts of a message and of its chunks, for comparisons."""

from __future__ import annotations

import json
import re
from typing import Any

from failover_iter.llm import Message, collect
from llm.pieces import Content

_RANDOM = re.compile("call_[0-9a-f]{16}")


def parts_of(message: Message, items: list[Any]) -> dict[str, Any]:
    """Return what the message has."""
    found = {
        "text": message.text,
        "reasoning": message.reasoning,
        "calls": [(_id_of(call), call.arguments) for call in message.tool_calls],
        "others": [chunk.other for chunk in message.others],
        "opaque": [dict(chunk.opaque) for chunk in items if chunk.opaque],
    }
    return {name: value for name, value in found.items() if value}


def _id_of(call: Any) -> str | None:
    """The id that the provider has sent; a call without one has a random id."""
    return None if _RANDOM.fullmatch(call.id) else call.id


def is_whole(items: list[Any], content: Content) -> bool:
    """Whether these items are the whole answer, with its usage."""
    message = collect(items)
    found, wanted = parts_of(message, items), dict(content.has)
    kinds = [set(parts.pop("others", ())) for parts in (found, wanted)]
    usage = message.total_usage
    return (
        found == wanted
        and kinds[0] == kinds[1]
        and (usage.input_tokens, usage.output_tokens) == content.usage
        and all(call.name == "weather" for call in message.tool_calls)
        and message.finish_reason == ("tool_calls" if message.tool_calls else "stop")
    )


def tool_calls(pieces: list[Any]) -> list[tuple[str | None, Any]]:
    """Join the pieces of tool calls by their number."""
    calls: dict[Any, list[Any]] = {}
    for piece in pieces:
        known = calls.setdefault(piece["index"], [None, ""])
        known[0] = known[0] or piece["name"]
        known[1] += piece["args"] or ""
    return [(name, parsed(text)) for name, text in calls.values()]


def parsed(arguments: str) -> Any:
    """Parse the arguments of a tool call, if they are JSON."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments
