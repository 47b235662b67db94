"""`FailoverChatModel`: a chat model for LangChain, over the sources of `failover_iter.llm`.

It needs langchain-core: `pip install 'failover-iter[langchain]'`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from operator import itemgetter
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InvalidToolCall,
    ToolCall,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field, model_validator

from failover_iter.llm._api import achat_stream, chat_stream
from failover_iter.llm._chunk import Chunk, Usage
from failover_iter.llm._collect import Message
from failover_iter.llm._seam import Seam
from failover_iter.llm._whole import achat, chat

__all__ = ["FailoverChatModel"]

Messages = list[BaseMessage]


class FailoverChatModel(BaseChatModel):
    """A chat model for LangChain that asks several providers: when one fails, the next one.

    `sources` and `asources` are functions that return the sources of one request, for blocking and
    for async calls. They are called with `messages` and, if bound, `tools`, `tool_choice`,
    `response_format`, `stop` and whatever else was bound, in the form of OpenAI's chat completions;
    pass them on to the adapters. Without `asources`, async calls run the blocking ones in a thread.

    `stream` cannot take back what it has yielded, so an answer that starts over is an error there;
    set `mid_stream=continue_with(...)` to let the next provider continue it. `invoke` starts over.

    Args:
        sources: Function that returns the blocking sources.
        asources: Function that returns the async sources.
        options: Options of `chat_stream`; empty by default.

    Raises:
        ValueError: Neither `sources` nor `asources` is given.

    Errors are those of `chat_stream`, unchanged.

    Example:
        >>> from failover_iter.llm import Chunk
        >>> from failover_iter.llm.langchain import FailoverChatModel
        >>> def busy():
        ...     raise ConnectionError("busy")
        ...     yield
        >>> def good():
        ...     yield from [Chunk(text="Hello"), Chunk(finish_reason="stop")]
        >>> FailoverChatModel(sources=lambda **request: [busy, good]).invoke("Hi").content
        'Hello'
    """

    sources: Callable[..., Any] | None = None
    asources: Callable[..., Any] | None = None
    options: dict[str, Any] = Field(default_factory=dict[str, Any])

    @model_validator(mode="after")
    def _check_sources(self) -> FailoverChatModel:
        if self.sources is None and self.asources is None:
            raise ValueError("FailoverChatModel needs sources or asources, got neither")
        return self

    @property
    def _llm_type(self) -> str:
        return "failover-iter"

    def _sources(self, messages: Messages, stop: list[str] | None, more: dict[str, Any]) -> Any:
        if self.sources is None:
            raise TypeError("this model has only async sources: use ainvoke or astream")
        return self.sources(**_request(messages, stop, more))

    def _generate(
        self,
        messages: Messages,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _result(chat(self._sources(messages, stop, kwargs), **self.options))

    async def _agenerate(
        self,
        messages: Messages,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.asources is None:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        sources = self.asources(**_request(messages, stop, kwargs))
        return _result(await achat(sources, **self.options))

    def _stream(
        self,
        messages: Messages,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        sources, reader = self._sources(messages, stop, kwargs), _Reader()
        with closing(chat_stream(sources, mark_takeovers=True, **self.options)) as stream:
            for item in stream:
                yield from reader.read(item)

    async def _astream(
        self,
        messages: Messages,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        if self.asources is None:
            async for piece in super()._astream(messages, stop, run_manager, **kwargs):
                yield piece
            return
        sources, reader = self.asources(**_request(messages, stop, kwargs)), _Reader()
        async with aclosing(achat_stream(sources, mark_takeovers=True, **self.options)) as stream:
            async for item in stream:
                for piece in reader.read(item):
                    yield piece

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model with tools.

        Args:
            tools: Functions, pydantic models, tools of LangChain, or OpenAI's form.
            tool_choice: "auto", "none", "any", or the name of a tool; None leaves it to the
                provider.
            kwargs: More arguments for `sources`.
        """
        if tool_choice is not None:
            kwargs["tool_choice"] = _choice(tool_choice)
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return this model with answers that follow a schema: a `response_format`.

        Args:
            schema: A pydantic model, a TypedDict, or a JSON schema with a title.
            include_raw: Whether to return a dict of "raw", "parsed" and "parsing_error".
            kwargs: `method="function_calling"` asks for the answer as the call of a tool.
        """
        if kwargs.pop("method", "json_schema") != "json_schema":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        function = convert_to_openai_tool(schema)["function"]
        json_schema = {"name": function["name"], "schema": function["parameters"]}
        bound = self.bind(response_format={"type": "json_schema", "json_schema": json_schema})
        parser = _parser(schema)
        if not include_raw:
            return bound | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        chain: Any = RunnableMap(raw=bound) | parsed.with_fallbacks(
            [failed], exception_key="parsing_error"
        )
        return chain  # type: ignore[no-any-return]


# --- What LangChain asks


def _request(messages: Messages, stop: list[str] | None, more: dict[str, Any]) -> dict[str, Any]:
    request = {"messages": [turn for message in messages for turn in _turns(message)], **more}
    return request if stop is None else request | {"stop": stop}


def _turns(message: BaseMessage) -> list[dict[str, Any]]:
    """Return a message as turns in OpenAI's form, with what its provider needs back."""
    turns = convert_to_openai_messages([message])
    opaque = message.additional_kwargs.get("opaque")
    if opaque:
        turns[0]["opaque"] = opaque
    return turns


def _parser(schema: Any) -> Runnable[Any, Any]:
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def _choice(tool_choice: str) -> str | dict[str, Any]:
    if tool_choice in {"auto", "none", "required"}:
        return tool_choice
    if tool_choice == "any":
        return "required"
    return {"type": "function", "function": {"name": tool_choice}}


# --- Its input


class _Reader:
    """Makes LangChain's pieces of the chunks of one answer."""

    def __init__(self) -> None:
        self.seam = Seam()
        self.calls: set[int] = set()
        self.usage = Usage()

    def read(self, item: Any) -> Iterator[ChatGenerationChunk]:
        chunk = self.seam.chunk(item)
        if chunk is not None:
            yield ChatGenerationChunk(message=self.message(chunk))

    def message(self, chunk: Chunk) -> AIMessageChunk:
        more: dict[str, Any] = {}
        if chunk.reasoning:
            more["reasoning_content"] = chunk.reasoning
        if chunk.opaque is not None:
            more["opaque"] = [{"provider": chunk.provider, "part": dict(chunk.opaque)}]
        message = AIMessageChunk(content=chunk.text, additional_kwargs=more)
        call = chunk.tool_call
        if call is not None:
            is_first = call.index not in self.calls
            self.calls.add(call.index)
            made_id = f"call_{call.index}" if is_first else None
            piece = tool_call_chunk(
                name=call.name, args=call.arguments, id=call.id or made_id, index=call.index
            )
            message.tool_call_chunks = [piece]
        for attempt in chunk.earlier_usage:
            self.usage += attempt.usage
        self.usage += chunk.usage or Usage()
        if chunk.finish_reason is not None:
            message.usage_metadata = _usage(self.usage)
            message.response_metadata = _metadata(chunk)
            message.chunk_position = "last"
        return message


def _result(message: Message) -> ChatResult:
    """Return a finished answer in LangChain's form."""
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for place, call in enumerate(message.tool_calls):
        name, call_id = call.name or "", call.id or f"call_{place}"
        try:
            calls.append(ToolCall(name=name, args=call.arguments, id=call_id, type="tool_call"))
        except ValueError as error:
            invalid.append(
                InvalidToolCall(
                    name=name,
                    args=call.text,
                    id=call_id,
                    error=str(error),
                    type="invalid_tool_call",
                )
            )
    more = {"reasoning_content": message.reasoning, "opaque": list(message.opaque)}
    answer = AIMessage(
        content=message.text,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        additional_kwargs={name: value for name, value in more.items() if value},
        usage_metadata=_usage(message.total_usage),
        response_metadata=_metadata(message),
    )
    return ChatResult(generations=[ChatGeneration(message=answer)])


def _metadata(answer: Chunk | Message) -> dict[str, Any]:
    return {
        "finish_reason": answer.finish_reason,
        "model_name": answer.model,
        "provider": answer.provider,
        "source": answer.source,
    }


def _usage(usage: Usage) -> UsageMetadata | None:
    """Return the counts in LangChain's form, in which the first three are required."""
    if usage == Usage():
        return None
    given, made = usage.input_tokens or 0, usage.output_tokens or 0
    counts = UsageMetadata(input_tokens=given, output_tokens=made, total_tokens=given + made)
    if usage.cached_input_tokens is not None:
        counts["input_token_details"] = InputTokenDetails(cache_read=usage.cached_input_tokens)
    if usage.reasoning_tokens is not None:
        counts["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return counts
