"""Adapter for litellm, which itself talks to many providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import Any, Final

from failover_iter import Source
from failover_iter.llm._adapters.openai_chat import OpenAIChatAnswer, asks_for_several
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._factory import has_format
from failover_iter.llm._field import as_list, field
from failover_iter.llm._messages import Arguments, prepare_chat, turn_of
from failover_iter.llm._reading import DualChatFactory, DualStream

__all__ = ["litellm_completion"]

#: The last event of a stream whose finish reason litellm made up.
_TRUNCATED: Final = object()
#: Where a litellm stream keeps the finish reason that the provider sent.
_FINISH_REASON_ATTRIBUTES: Final = (
    "received_finish_reason",
    "intermittent_finish_reason",
    "received_any_finish_reason",
)


class LitellmAnswer(OpenAIChatAnswer):
    """An answer like OpenAI's, except that litellm makes up a "stop" if none arrived."""

    provider = "litellm"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: By number, the reasoning so far, which is sent back together with its signature.
        self.thoughts: dict[object, str] = {}

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; `_TRUNCATED` revokes the finish reason."""
        if event is _TRUNCATED:
            self.reason = None
            return
        yield from super().read(event)

    def read_delta(self, delta: Any, event: object) -> Iterator[Chunk]:
        """Yield the chunks of a delta; litellm has a member for what only some providers send."""
        yield from super().read_delta(delta, event)
        for block in as_list(field(delta, "thinking_blocks")):
            yield from self.read_thought(block, event)
        for member, kind in _OTHER_MEMBERS.items():
            if field(delta, "provider_specific_fields", member):
                yield from self.other(kind, event)

    def read_thought(self, block: Any, event: object) -> Iterator[Chunk]:
        """Yield a block of reasoning when it is signed; its text is also in the delta."""
        index, signature = field(block, "index"), field(block, "signature")
        self.thoughts[index] = self.thoughts.get(index, "") + (field(block, "thinking") or "")
        if signature:
            thought = {"thinking": self.thoughts.pop(index), "signature": signature}
            yield from self.opaque({"type": "thinking", **thought}, event)
        elif field(block, "data"):
            kept = {name: field(block, name) for name in ("type", "data")}
            yield from self.opaque(kept, event)


#: The members that are content, and our words for them.
_OTHER_MEMBERS: Final = {
    "citation": "citation",
    "server_tool_calls": "server_tool_use",
    "web_search_results": "web_search_tool_result",
}


def _was_truncated(stream: Any) -> bool:
    """Whether the provider sent no finish reason, as far as the litellm stream remembers."""
    known = [getattr(stream, name) for name in _FINISH_REASON_ATTRIBUTES if hasattr(stream, name)]
    return bool(known) and not any(known)


def _has_more(stream: Any, event: Any, method: str) -> bool:
    """Whether the provider may still send events; litellm stops reading at a finish reason."""
    finished = any(choice.finish_reason for choice in event.choices)
    return finished and not _was_truncated(stream) and hasattr(stream.completion_stream, method)


def _events(arguments: Arguments) -> Iterator[Any]:
    stream: Any = import_module("litellm").completion(**arguments, stream=True)
    try:
        for event in stream:
            if _has_more(stream, event, "__next__"):
                # An error may follow the finish reason, so read on; litellm gets the rest back.
                stream.completion_stream = iter(list(stream.completion_stream))
            yield event
        if _was_truncated(stream):
            yield _TRUNCATED
    finally:
        stream.close()


async def _aevents(arguments: Arguments) -> AsyncIterator[Any]:
    stream: Any = await import_module("litellm").acompletion(**arguments, stream=True)
    try:
        async for event in stream:
            if _has_more(stream, event, "__anext__"):
                rest = [more async for more in stream.completion_stream]
                stream.completion_stream = _replay(rest)
            yield event
        if _was_truncated(stream):
            yield _TRUNCATED
    finally:
        await stream.aclose()


async def _replay(events: list[Any]) -> AsyncIterator[Any]:
    for event in events:
        yield event


def _prepare(arguments: Arguments) -> Arguments:
    """Send the signed reasoning back in litellm's form."""
    if "messages" in arguments:
        arguments["messages"] = [_message(each) for each in as_list(arguments["messages"])]
    return prepare_chat(arguments)


def _message(message: Any) -> Any:
    turn = turn_of(message)
    blocks = [dict(part) for part in turn.opaque_of("litellm")] if turn else []
    return {**message, "thinking_blocks": blocks} if blocks else message


def litellm_completion(*, name: str | None = None, **arguments: Any) -> Source[DualStream]:
    """Return a source that asks any provider through litellm, for both kinds of chat stream.

    Pass `max_retries=0, num_retries=0` and a `timeout`. litellm makes up what a provider did not
    send. This adapter detects a made-up "stop". It cannot detect made-up usage: if the provider
    reports none, the usage is litellm's own count.

    Args:
        name: Name of the source in events, errors and the log; "litellm" and the model by default.
        arguments: Arguments of `litellm.completion`: model, messages, ...

    Raises:
        TypeError: `name` is not a str.

    litellm is imported when the stream opens the source; if it is not installed, the stream raises
    a ModuleNotFoundError.

    Example:
        >>> from failover_iter.llm import litellm_completion
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> litellm_completion(model="openai/gpt", messages=messages, max_retries=0).name
        'litellm openai/gpt'
    """
    return DualChatFactory(
        answer_type=LitellmAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.get("tools")),
        structured=has_format(arguments.get("response_format")),
        answer_options={"several_choices": asks_for_several(arguments)},
        prepare=_prepare,
        call=_events,
        acall=_aevents,
    ).source(name)
