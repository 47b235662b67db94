"""`continue_with`: how the next provider goes on where an answer broke off."""

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
    "Your last message was cut off. Go on exactly where it stops, in the same language and style: "
    "say nothing before it, and repeat nothing of it."
)


def _mode(progress: Progress[Any]) -> Mode:
    """Raise once a tool call or structured output was partly delivered: neither can be glued."""
    pieces = [item for item in progress.items if isinstance(item, Chunk)]
    return "raise" if any(piece.tool_call or piece.structured for piece in pieces) else "resume"


@dataclass(frozen=True, slots=True)
class ContinueWith(Decide):
    """What `continue_with` builds: a value for `mid_stream` of `chat_stream`."""

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
    """Have the next provider go on where an answer broke off: `mid_stream=continue_with(...)`.

    The next provider gets the conversation plus the text so far. It disarms by itself: once a
    tool call or structured output was partly delivered, the error is the consumer's.

    A provider that rejects the continuation (with a 400 or 422) counts as failed, and the next one
    is tried; if none is left, the error with which the answer broke off is the consumer's, the
    rejection in its notes. With `or_restart=True` such a provider gets the conversation once more
    without the text so far: its answer starts over, which `mark_takeovers=True` marks.

    Args:
        how: "prefill": the text so far is the start of the provider's own answer, where it takes
            one (Anthropic, Mistral, Groq, Ollama, Claude on Bedrock), else as "instruct";
            "instruct": it is followed by a message that tells the model to go on; or a function
            `(arguments, text) -> arguments` that makes the request: it gets those which the
            provider's SDK would be called with, and the text so far.
        instruction: that message, in the language of your user.
        or_restart: whether the answer may start over where the continuation is rejected.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: `how` is another word.

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
