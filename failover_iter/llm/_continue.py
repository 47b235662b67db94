"""`continue_with`: the next provider continues an interrupted answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Literal, TypeAlias

from failover_iter import Decide, Progress
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._messages import Arguments

__all__ = ["ContinueWith", "continue_with"]

Mode: TypeAlias = Literal["restart", "raise", "skip", "resume"]
#: A rung of the ladder: how a provider is asked to continue.
How: TypeAlias = Literal["prefill", "instruct", "restart"] | Callable[[Arguments, str], Arguments]
WithTools: TypeAlias = Literal["raise", "restart", "continue"]

INSTRUCTION: Final = (
    "Your last message was cut off. Continue exactly where it stops, in the same language and "
    "style. Write nothing before the continuation, and do not repeat any of the message."
)
_RUNGS: Final = ("prefill", "instruct", "restart")
_WITH_TOOLS: Final = ("raise", "restart", "continue")


def mode_after(progress: Progress[Any]) -> Mode:
    """Return "raise" after content that cannot be joined."""
    pieces = [item for item in progress.items if isinstance(item, Chunk)]
    return "resume" if all(map(_can_be_joined, pieces)) else "raise"


def _can_be_joined(piece: Chunk) -> bool:
    """Whether a piece can be continued: not one of a tool call, a format, or an image."""
    return not (piece.tool_call or piece.structured or piece.other not in {"", "citation"})


@dataclass(frozen=True, slots=True)
class ContinueWith(Decide):
    """The value that `continue_with` returns, for the option `mid_stream` of `chat_stream`.

    It is a `Decide` strategy that keeps all delivered chunks, so that the next provider can
    continue their text. Call `continue_with` to build one: it checks its arguments.

    Example:
        >>> from failover_iter.llm import ContinueWith, continue_with
        >>> continue_with() == ContinueWith()
        True
    """

    fn: Callable[[Progress[Any]], Mode] = field(default=mode_after, repr=False)
    _: KW_ONLY
    keep: int | None = None
    key: Callable[[Any], str | bytes | int] | None = None
    ladder: tuple[How, ...] = ("prefill", "instruct")
    instruction: str = INSTRUCTION
    with_tools: WithTools = "raise"

    @property
    def ends_in_restart(self) -> bool:
        """Whether a provider that rejects every continuation is asked for a new answer."""
        return self.ladder[-1] == "restart"


def continue_with(
    how: How | Sequence[How] = ("prefill", "instruct"),
    *,
    instruction: str = INSTRUCTION,
    with_tools: WithTools = "raise",
) -> ContinueWith:
    """Let the next provider continue an interrupted answer: `mid_stream=continue_with(...)`.

    The next provider receives the conversation and the text so far. This is not used once part of
    a tool call, of structured output, or of an image or the like was delivered; the error is raised
    instead.

    `how` may be a ladder. If a provider rejects one step (many answer a prefill with status 400),
    the next step is tried at once; this uses up none of its `attempts`. If the last step is
    "restart", the provider is then asked without the text so far: its answer starts over, and
    `mark_takeovers=True` marks the place. A provider that rejects every step counts as failed, and
    the next one is tried. If none is left, the stream raises the error that interrupted the answer,
    with the rejections in its notes.

    Args:
        how: One or more of these, in the order in which they are tried. "prefill": the provider
            starts its answer with the text so far. Anthropic's older models, Mistral, Groq, Ollama,
            Claude on Bedrock and `openai_chat(prefill=...)` accept that; other providers are asked
            as by "instruct". "instruct": the text so far is followed by a message that tells the
            model to continue. "restart": the provider starts over. A function
            `(arguments, text) -> arguments` builds the request itself: it receives the arguments of
            the SDK's call and the text so far.
        instruction: The message for "instruct", in the language of your user. The default is in
            English.
        with_tools: What to do if the request offers tools: "raise" the error (the default),
            "restart" the answer, or "continue" it. A model that continues a text may forget that it
            was about to call a tool.

    Raises:
        TypeError: `instruction` is not a str.
        ValueError: `how` or `with_tools` has a value that is not allowed.

    Example:
        >>> from failover_iter.llm import continue_with
        >>> continue_with(["prefill", "instruct", "restart"]).ladder
        ('prefill', 'instruct', 'restart')
        >>> continue_with("guess")
        Traceback (most recent call last):
        ValueError: how must be 'prefill', 'instruct', 'restart' (last) or a function, got 'guess'
    """
    ladder: tuple[Any, ...] = (how,) if isinstance(how, str) or callable(how) else tuple(how)
    for place, rung in enumerate(ladder, 1):
        is_known = callable(rung) or rung in _RUNGS
        if not is_known or (rung == "restart" and place < len(ladder)):
            raise ValueError(
                f"how must be 'prefill', 'instruct', 'restart' (last) or a function, got {how!r}"
            )
    if not ladder:
        raise ValueError("how must name at least one way to continue, got none")
    if not isinstance(instruction, str):
        raise TypeError(f"instruction must be a str, got {instruction!r}")
    if with_tools not in _WITH_TOOLS:
        raise ValueError(f"with_tools must be 'raise', 'restart' or 'continue', got {with_tools!r}")
    return ContinueWith(ladder=ladder, instruction=instruction, with_tools=with_tools)
