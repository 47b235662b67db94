"""`ChatContext`: what the attempts of one chat stream share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from failover_iter import Progress
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import AttemptUsage
from failover_iter.llm._continue import ContinueWith, Mode, mode_after

#: What to do with a refusal: deliver it as an answer, or ask the next provider.
Refusals: TypeAlias = Literal["answer", "switch"]


@dataclass(kw_only=True, eq=False)
class ChatContext:
    """The state of one chat stream; each stream has its own."""

    refusals: Refusals = "answer"
    #: The usage of the attempts that did not complete, as far as known.
    failed_usage: list[AttemptUsage] = field(default_factory=list[AttemptUsage])
    #: The usage of attempts that have ended since `on_usage` was last called.
    new_usage: list[AttemptUsage] = field(default_factory=list[AttemptUsage])
    #: The error that is raised after a provider has rejected every continuation.
    interruption: Exception | None = None
    #: The answer that each source has begun last, by its name, for the listener.
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    #: Whether the last request offered tools.
    offered_tools: bool = False

    def add_usage(self, usage: AttemptUsage, *, completed: bool) -> None:
        """Keep the usage of an attempt that has ended."""
        self.new_usage.append(usage)
        if not completed:
            self.failed_usage.append(usage)

    def take_usage(self) -> list[AttemptUsage]:
        """Return the new usage, once."""
        taken, self.new_usage = self.new_usage, []
        return taken

    def mode(self, continuation: ContinueWith, progress: Progress[Any]) -> Mode:
        """Return how the next attempt takes over."""
        mode = mode_after(progress)
        if mode == "resume" and self.offered_tools and continuation.with_tools != "continue":
            return continuation.with_tools
        return mode


@dataclass(kw_only=True, eq=False)
class SourceState:
    """State that the attempts of one source in one stream share."""

    #: How many ways of continuing the provider has rejected.
    rejected: int = 0
    rejected_all: bool = False
    #: The id of a response that the provider goes on making when the stream breaks.
    response_id: str | None = None
