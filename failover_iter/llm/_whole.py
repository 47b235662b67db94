"""`chat` and `achat`: a whole answer, with the failover of a stream."""

from __future__ import annotations

from typing import Any, Unpack

from failover_iter import afailover_stream, failover_stream
from failover_iter.llm._api import AsyncSources, ChatOptions, Sources, open_stream
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._collect import Message, acollect, collect
from failover_iter.llm._continue import ContinueWith
from failover_iter.llm._judged import Judge

__all__ = ["achat", "chat"]


def chat(
    sources: Sources[Chunk], *, judge: Judge | None = None, **options: Unpack[ChatOptions]
) -> Message:
    """Return one whole answer from several LLM providers: when one fails, ask the next one.

    It streams underneath, so an answer that breaks off is noticed at once, and not only after a
    timeout. Nothing is shown before the answer is finished, so `mid_stream` is "restart" by
    default.

    Args:
        sources: Sources, in the order in which they are tried.
        judge: A function that is called with each finished answer, and can reject it: it returns
            False, or raises a ValueError, as `message.parse(Model)` does. Then the next source is
            asked. None accepts every answer.
        options: Options of `chat_stream`.

    Raises:
        TypeError: An option or a source has the wrong type.
        ValueError: An option has a value that is not allowed.
        NoSources: `sources` is empty.

    If every source fails, the error of the last one is raised, as by `chat_stream`; for an answer
    that was not accepted that is a `ProviderError` with the code "not_accepted".

    Example:
        >>> from failover_iter.llm import Chunk, chat
        >>> def careless():
        ...     yield from [Chunk(text='{"a":'), Chunk(finish_reason="stop")]
        >>> def careful():
        ...     yield from [Chunk(text='{"a": 1}'), Chunk(finish_reason="stop")]
        >>> chat([careless, careful], judge=lambda message: message.parse()).parse()
        {'a': 1}
    """
    chosen = _options(judge, dict(options))
    return collect(open_stream(failover_stream, sources, judge=judge, **chosen))


async def achat(
    sources: AsyncSources[Chunk], *, judge: Judge | None = None, **options: Unpack[ChatOptions]
) -> Message:
    """Return one whole answer from several LLM providers: the async version of `chat`.

    Args:
        sources: Sources, in the order in which they are tried.
        judge: A plain function that can reject a finished answer, as in `chat`.
        options: Options of `achat_stream`.

    Raises:
        TypeError: An option or a source has the wrong type.
        ValueError: An option has a value that is not allowed.
        NoSources: `sources` is empty.

    Example:
        >>> import asyncio
        >>> from failover_iter.llm import Chunk, achat
        >>> async def answer():
        ...     yield Chunk(text="Hello")
        ...     yield Chunk(finish_reason="stop")
        >>> asyncio.run(achat([answer])).text
        'Hello'
    """
    chosen = _options(judge, dict(options))
    return await acollect(open_stream(afailover_stream, sources, judge=judge, **chosen))


def _options(judge: object, options: dict[str, Any]) -> dict[str, Any]:
    if not (judge is None or callable(judge)):
        raise TypeError(f"judge must be a function Message -> bool, or None, got {judge!r}")
    if judge is not None and isinstance(options.get("mid_stream"), ContinueWith):
        raise ValueError(
            "judge needs whole answers, so mid_stream must be 'restart' or 'raise', got "
            "continue_with(...)"
        )
    return {"mid_stream": "restart", "mark_takeovers": True} | options
