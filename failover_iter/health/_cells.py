"""The rules: what is known of one key, and what a question or a report changes. Pure.

Each ejection begins a new *generation*. A report carries the generation in which its attempt was
admitted, so the many streams that one outage ends eject a source once. The Lua scripts of
`failover_iter.redis` follow the same rules: a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from failover_iter.health._snapshot import SourceHealth, State

#: What became of an attempt. `committed`: it has an item. `good`: it completed, or the consumer
#: left after an item. `nothing`: it says nothing of the source.
Outcome: TypeAlias = Literal["committed", "good", "failed", "nothing"]
Verdict: TypeAlias = Literal["yes", "probe", "no"]

_DOUBLINGS: Final = 32  # of the cool-down; by then it is beyond any maximum


class Rules(NamedTuple):
    """When a source is out, and for how long: in whole milliseconds, as Redis counts too."""

    failures: int
    cooldown: int
    maximum: int
    lease: int

    @property
    def memory(self) -> int:
        """How long a key is remembered after its cool-down."""
        return 4 * self.maximum + self.lease + 60_000


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer of a `Store` to a stream that is about to open a source."""

    key: str
    verdict: Verdict = "yes"
    """Whether to try the source now, as usual or as the probe, or only after all others."""
    generation: int = 0
    """A number that grows with each ejection."""
    lease: int = 0
    """The lease of a probe, in milliseconds on the store's clock; 0 for others."""
    seconds: float = 0.0
    """The seconds until it is tried again, if it is out."""
    local: bool = False
    """Whether only this process knows of it, because its store is down."""

    @property
    def admitted(self) -> bool:
        """Whether to open the source now."""
        return self.verdict != "no"

    def later(self, seconds: float) -> Admission:
        """The same ticket some time later."""
        if not self.seconds:
            return self
        return replace(self, seconds=max(0.0, self.seconds - seconds))


class Report(NamedTuple):
    """The outcome of an attempt. `retry_after` and `now` are in milliseconds."""

    key: str
    outcome: Outcome
    generation: int
    lease: int
    retry_after: int
    now: int


@dataclass(frozen=True, slots=True)
class Cell:
    """The state of one key. Times are in milliseconds."""

    failures: int = 0
    generation: int = 0
    level: int = 0
    is_out: bool = False
    until: int = 0
    lease: int = 0
    expires: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing speaks against the source."""
        return not (self.failures or self.level or self.is_out)

    def admit(self, key: str, now: int, rules: Rules) -> Admission:
        """The ticket of a stream that asks now. The caller keeps the lease of a probe."""
        if not self.is_out:
            return Admission(key, "yes", self.generation)
        until = max(self.until, self.lease)
        if now < until:
            return Admission(key, "no", self.generation, seconds=(until - now) / 1000)
        return Admission(key, "probe", self.generation, now + rules.lease)

    def after(self, report: Report, rules: Rules) -> Cell:
        """The state after a report."""
        is_current = report.generation == self.generation
        is_probe = report.lease > 0
        match report.outcome:
            case "failed" if is_current and (is_probe or not self.is_out):
                return self._failed(report, rules)
            case "failed" if self.is_out and report.retry_after:
                # A stale report, or of a stream that had no other source left: one outage ejects
                # once. But the source itself asks for more time.
                return replace(self, until=max(self.until, report.now + report.retry_after))
            case "committed" if is_current:
                failures = max(self.failures, rules.failures - 1) if self.level else self.failures
                return replace(self, is_out=False, lease=0, failures=failures)
            case "good" if is_current:
                return replace(self, is_out=False, lease=0, failures=0, level=0)
            case "nothing" if is_probe and report.lease == self.lease:
                return replace(self, lease=0)
            case _:
                return self

    def _failed(self, report: Report, rules: Rules) -> Cell:
        failures = self.failures + 1
        if not (self.is_out or report.retry_after or failures >= rules.failures):
            return replace(self, failures=failures)
        pause = min(rules.maximum, rules.cooldown << min(self.level, _DOUBLINGS))
        until = report.now + max(pause, report.retry_after)
        return replace(
            self,
            failures=0,
            # A time, so that a store that was emptied never counts to an old number again.
            generation=max(self.generation + 1, report.now),
            level=self.level + 1,
            is_out=True,
            until=max(self.until, until),
            lease=0,
        )

    def health(self, now: int) -> SourceHealth:
        """What people see of it."""
        if not self.is_out:
            return SourceHealth("ok", self.failures, 0.0, self.level)
        until = max(0, self.until - now) / 1000
        state: State = "probing" if self.until <= now < self.lease else "out"
        return SourceHealth(state, self.failures, until, self.level)


UNKNOWN: Final = Cell()
