"""The form of messages that every adapter understands: that of OpenAI's chat completions.

`turn_of` reads a message in this form. Anything else is in a provider's own form, and is passed on
unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from failover_iter.llm._field import as_list
from failover_iter.llm._status import as_mapping

#: The arguments of one request.
Arguments: TypeAlias = dict[str, Any]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_PARTS = ("text", "image_url")


@dataclass(frozen=True)
class Image:
    """An image: its address, or its kind and its bytes in base64."""

    url: str
    media_type: str
    data: str

    @classmethod
    def at(cls, url: str) -> Image:
        """Return the image of an address, which may be a `data:` URL."""
        head, _, data = url.partition(";base64,")
        if url.startswith("data:") and data:
            return cls("", head.removeprefix("data:"), data)
        return cls(url, "", "")


@dataclass(frozen=True)
class Call:
    """A tool call of an earlier turn."""

    id: str
    name: str
    text: str

    @property
    def arguments(self) -> Any:
        """The arguments as an object."""
        return json.loads(self.text or "{}")


@dataclass(frozen=True)
class Turn:
    """A message in OpenAI's form."""

    role: str
    #: Texts and images, in order; a text as the dict that it came in, with all of its fields.
    parts: list[dict[str, Any] | Image]
    calls: list[Call]
    #: Of a tool's result, the call that it answers.
    call_id: str
    #: The parts that the next request to a provider needs back, by the name of its protocol.
    opaque: list[tuple[str, Mapping[str, Any]]]

    @property
    def text(self) -> str:
        """All text of the message."""
        return "".join(part["text"] for part in self.parts if isinstance(part, dict))

    def opaque_of(self, provider: str) -> list[Mapping[str, Any]]:
        """Return what is kept for this provider."""
        return [part for owner, part in self.opaque if owner == provider]


def turn_of(message: object) -> Turn | None:
    """Return a message in OpenAI's form as a `Turn`; None if it is in another form."""
    fields = as_mapping(message)
    role, content = fields.get("role"), fields.get("content")
    raw_parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    parts = [as_mapping(part) for part in as_list(raw_parts)]
    if role not in _ROLES or not all(part.get("type") in _PARTS for part in parts):
        return None
    calls = [as_mapping(call) for call in as_list(fields.get("tool_calls"))]
    if not (parts or calls or "content" in fields) or (
        role == "tool" and "tool_call_id" not in fields
    ):
        return None
    return Turn(
        role="system" if role == "developer" else role,
        # Clients send an empty text beside tool calls; Anthropic and Bedrock reject it.
        parts=[_part(part) for part in parts if part.get("text") != ""],
        calls=[_call(call, place) for place, call in enumerate(calls)],
        call_id=str(fields.get("tool_call_id", "")),
        opaque=[(each["provider"], each["part"]) for each in as_list(fields.get("opaque"))],
    )


def _part(part: Mapping[str, Any]) -> dict[str, Any] | Image:
    if part["type"] == "text":
        return dict(part)
    address = part["image_url"]
    return Image.at(address if isinstance(address, str) else as_mapping(address)["url"])


def _call(call: Mapping[str, Any], place: int) -> Call:
    function = as_mapping(call.get("function"))
    arguments = function.get("arguments") or "{}"
    text = arguments if isinstance(arguments, str) else json.dumps(dict(arguments))
    return Call(str(call.get("id") or f"call_{place}"), str(function.get("name")), text)


def split_system(messages: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """Return the texts of the system messages, and the other messages: turns, or as they came."""
    system: list[str] = []
    others: list[Any] = []
    for message in messages:
        turn = turn_of(message)
        if turn is not None and turn.role == "system":
            system.append(turn.text)
        else:
            others.append(message if turn is None else turn)
    return system, others


def joined(turns: Iterable[Any], content: str) -> list[Any]:
    """Join the results of parallel tool calls, which are turns of the user, into one turn."""
    merged: list[Any] = []
    joins = False
    for turn in turns:
        is_result = isinstance(turn, dict) and bool(turn.pop("is_result", False))  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
        if is_result and joins:
            merged[-1][content] += turn[content]
        else:
            merged.append(turn)
        joins = is_result
    return merged


def without_opaque(messages: Any) -> Any:
    """Return messages without what is kept for other providers, for those who take this form."""
    if not isinstance(messages, list | tuple):
        return messages
    return [
        {name: value for name, value in as_mapping(each).items() if name != "opaque"}
        if "opaque" in as_mapping(each)
        else each
        for each in as_list(messages)
    ]


def function_of(tool: object) -> Mapping[str, Any] | None:
    """Return the function of a tool in OpenAI's form; None if it is in another form."""
    fields = as_mapping(tool)
    function = fields.get("function")
    return as_mapping(function) if fields.get("type") == "function" and function else None


def parameters_of(function: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a function's parameters; a function without has an empty object."""
    return dict(function.get("parameters") or {"type": "object", "properties": {}})


@dataclass(frozen=True)
class Format:
    """A JSON schema that the answer has to follow."""

    name: str
    schema: Any
    #: Whether the answer has to follow it exactly; None leaves it to the provider.
    strict: bool | None = None

    @property
    def as_chat(self) -> dict[str, Any]:
        """The `response_format` of chat completions."""
        return {"type": "json_schema", "json_schema": {"name": self.name, "schema": self.schema}}


def format_of(response_format: Any) -> Format | None:
    """Return the schema of a `response_format`: in OpenAI's form, or a pydantic model."""
    if hasattr(response_format, "model_json_schema"):
        return Format(response_format.__name__, response_format.model_json_schema())
    details = as_mapping(as_mapping(response_format).get("json_schema"))
    if "schema" not in details:
        return None
    return Format(str(details.get("name", "answer")), details["schema"], details.get("strict"))


def wants_any_json(response_format: Any) -> bool:
    """Whether a `response_format` asks for JSON without a schema."""
    return as_mapping(response_format).get("type") == "json_object"


def prepare_chat(arguments: Arguments) -> Arguments:
    """Prepare a request to a provider that takes OpenAI's form."""
    if "messages" in arguments:
        arguments["messages"] = without_opaque(arguments["messages"])
    schema = format_of(arguments.get("response_format"))
    if schema is not None and hasattr(arguments["response_format"], "model_json_schema"):
        arguments["response_format"] = schema.as_chat
    return arguments
