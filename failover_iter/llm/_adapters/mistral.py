"""Mistral's chat."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

from failover_iter import Source
from failover_iter.llm._adapters.openai_chat import OpenAIChatAnswer
from failover_iter.llm._chat import DualChatFactory, DualStream, has_format
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._messages import as_list

__all__ = ["mistral_chat"]


class _Client(Protocol):
    """A `mistralai.Mistral`."""

    @property
    def chat(self) -> Any: ...


class MistralAnswer(OpenAIChatAnswer):
    """An answer in chunks with choices, wrapped into events."""

    provider = "mistral"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {
        **OpenAIChatAnswer.finish_reasons,
        "model_length": "length",
    }

    def read(self, event: Any) -> Iterator[Chunk]:
        """The chunk in an event."""
        return super().read(event.data)

    def read_delta(self, delta: Any, event: object) -> Iterator[Chunk]:
        """What a delta adds: its text may be a list of parts, some of them thoughts."""
        parts = as_list(delta.content)
        for part in parts:
            if isinstance(part, str):
                yield from self.text(part, event)
            elif thoughts := getattr(part, "thinking", None):
                for thought in thoughts:
                    yield from self.reasoning(getattr(thought, "text", None), event)
            else:
                yield from self.text(getattr(part, "text", None), event)
        for call in delta.tool_calls or ():
            yield from self.read_tool_call(call, event)

    def read_tool_call(self, call: Any, event: object) -> Iterator[Chunk]:
        """A tool call, which comes whole or in pieces."""
        function, arguments = call.function, call.function.arguments
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        yield from self.tool(call.index, event, id=call.id, name=function.name, arguments=arguments)


def mistral_chat(
    client: _Client, *, name: str | None = None, **arguments: Any
) -> Source[DualStream]:
    """Make a source of Mistral's chat, for `chat_stream` and `achat_stream` alike.

    Give the client a `timeout_ms`; its retries are off unless a `retry_config` is set.

    Args:
        client: a `mistralai.Mistral`, which is blocking and async in one.
        name: shown in events, errors and the log; "mistral" and the model unless given.
        arguments: those of `client.chat.stream`: model, messages, ...

    Example:
        >>> from failover_iter.llm import mistral_chat
        >>> class Client:  # stands for mistralai.Mistral(timeout_ms=10_000)
        ...     class chat:
        ...         def stream(**arguments): ...
        ...         async def stream_async(**arguments): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> mistral_chat(Client(), model="small", messages=messages).name
        'mistral small'
    """
    chat = client.chat
    return DualChatFactory(
        answer_type=MistralAnswer,
        arguments=arguments,
        structured=has_format(arguments.get("response_format")),
        prefill_fields={"prefix": True},
        echoes_prefill=True,
        call=lambda arguments: chat.stream(**arguments),
        acall=lambda arguments: chat.stream_async(**arguments),
    ).source(name)
