"""`continue_with`: the next provider continues an interrupted answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Literal, TypeAlias

from failover_iter import Decide, Progress
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._messages import Arguments

__all__ = ["ContinueWith", "continue_with"]

Mode: TypeAlias = Literal["restart", "raise", "skip", "resume"]
How: TypeAlias = Literal["prefill", "instruct"] | Callable[[Arguments, str], Arguments]

INSTRUCTION: Final = (
    "Your last message was cut off. Continue exactly where it stops, in the same language and "
    "style. Write nothing before the continuation, and do not repeat any of the message."
)


def _mode(progress: Progress[Any]) -> Mode:
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
        >>> continue_with("prefill") == ContinueWith()
        True
    """

    fn: Callable[[Progress[Any]], Mode] = field(default=_mode, repr=False)
    _: KW_ONLY
    keep: int | None = None
    key: Callable[[Any], str | bytes | int] | None = None
    how: How = "prefill"
    instruction: str = INSTRUCTION
    or_restart: bool = False


def continue_with(
    how: How, *, instruction: str = INSTRUCTION, or_restart: bool = False
) -> ContinueWith:
    """Let the next provider continue an interrupted answer: `mid_stream=continue_with(...)`.

    The next provider receives the conversation and the text so far. This is not used once part of
    a tool call, of structured output, or of an image or the like was delivered; the error is raised
    instead.

    A provider that rejects the continuation (with status 400 or 422) counts as failed, and the next
    one is tried. If none is left, the stream raises the error that interrupted the answer, with the
    rejection in its notes. With `or_restart=True` such a provider is asked once more, without the
    text so far. Its answer starts over; `mark_takeovers=True` marks the place.

    Args:
        how: "prefill": the provider starts its answer with the text so far. Anthropic, Mistral,
            Groq, Ollama and Claude on Bedrock accept that; for other providers this is the same as
            "instruct". "instruct": the text so far is followed by a message that tells the model to
            continue. A function `(arguments, text) -> arguments` builds the request itself: it
            receives the arguments of the SDK's call and the text so far.
        instruction: The message for "instruct", in the language of your user. The default is in
            English.
        or_restart: Whether the answer may start over if the continuation is rejected; False by
            default.

    Raises:
        TypeError: `instruction` is not a str, or `or_restart` is not a bool.
        ValueError: `how` is neither a function nor one of the two words.

    Example:
        >>> from failover_iter.llm import continue_with
        >>> continue_with("instruct", instruction="Bitte fahre genau dort fort.").how
        'instruct'
        >>> continue_with("guess")
        Traceback (most recent call last):
        ValueError: how must be 'prefill', 'instruct' or a function, got 'guess'
    """
    if not callable(how) and how not in {"prefill", "instruct"}:
        raise ValueError(f"how must be 'prefill', 'instruct' or a function, got {how!r}")
    if not isinstance(instruction, str):
        raise TypeError(f"instruction must be a str, got {instruction!r}")
    if not isinstance(or_restart, bool):
        raise TypeError(f"or_restart must be True or False, got {or_restart!r}")
    return ContinueWith(how=how, instruction=instruction, or_restart=or_restart)
