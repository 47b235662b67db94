"""`ChatContext`: what the attempts of one chat stream share."""

from __future__ import annotations

from dataclasses import dataclass, field

from failover_iter.llm._chunk import AttemptUsage


@dataclass(kw_only=True, eq=False)
class ChatContext:
    """The state of one chat stream; each stream has its own."""

    #: What the failed attempts had used, as far as it is known.
    failed_usage: list[AttemptUsage] = field(default_factory=list[AttemptUsage])
