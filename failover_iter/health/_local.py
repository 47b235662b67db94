"""Where the health of sources is kept: any store, and the one of a single process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from failover_iter.health._cells import UNKNOWN, Admission, Cell, Outcome, Report, Rules
from failover_iter.health._snapshot import SourceHealth

if TYPE_CHECKING:
    from threading import RLock

_PRUNED_AT: Final = 1024  # keys


class Store(Protocol):
    """Where the health of sources is kept: in the process (`LocalStore`) or in Redis."""

    def admit(self, key: str, rules: Rules) -> Admission:
        """Return whether a blocking stream is to open this source now. Raises nothing."""
        ...

    async def aadmit(self, key: str, rules: Rules) -> Admission:
        """Return the same to an async stream."""
        ...

    def report(
        self, admission: Admission, outcome: Outcome, retry_after: int, rules: Rules
    ) -> None:
        """Record the outcome of an attempt. It never blocks, and raises nothing."""
        ...

    def snapshot(self, rules: Rules) -> Mapping[str, SourceHealth]:
        """Return the health of all keys."""
        ...

    async def asnapshot(self, rules: Rules) -> Mapping[str, SourceHealth]:
        """Return the same to async code."""
        ...


class LocalStore:
    """The health of sources in one process, for its threads, tasks and event loops.

    Args:
        clock: a function that returns the seconds of a monotonic clock; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        from threading import RLock  # a signal handler may run a stream, too

        self._clock = clock
        self._cells: dict[str, Cell] = {}
        self._prune_at = _PRUNED_AT
        self._lock: RLock = RLock()
        #: Reports that no cell shows yet. Only whoever reads the cells applies them: a report may
        #: come from a finalizer, which may run anywhere.
        self._reports: deque[tuple[Report, Rules]] = deque()

    def admit(self, key: str, rules: Rules) -> Admission:
        """Return whether to open this source now."""
        if not self._reports and key not in self._cells:
            return Admission(key)
        with self._lock:
            self._apply_reports()
            now = self._now()
            cell = self._cell(key, now)
            admission = cell.admit(key, now, rules)
            if admission.lease:
                self._keep(key, replace(cell, lease=admission.lease), rules, now)
            return admission

    async def aadmit(self, key: str, rules: Rules) -> Admission:
        """Return the same to an async stream."""
        return self.admit(key, rules)

    def report(
        self, admission: Admission, outcome: Outcome, retry_after: int, rules: Rules
    ) -> None:
        """Record the outcome of an attempt."""
        now = self._now()
        report = Report(
            admission.key, outcome, admission.generation, admission.lease, retry_after, now
        )
        self._reports.append((report, rules))

    # For a store that cannot be reached.

    def admit_alone(self, key: str, rules: Rules) -> Admission:
        """Return an admission, marked as one of this process alone."""
        return replace(self.admit(key, rules), local=True)

    def adopt(self, admission: Admission, outcome: Outcome, retry_after: int, rules: Rules) -> None:
        """Record the outcome of an attempt that another store admitted."""
        generation = self._cells.get(admission.key, UNKNOWN).generation
        mine = replace(admission, generation=generation, lease=0)
        self.report(mine, outcome, retry_after, rules)

    # For people.

    def snapshot(self, rules: Rules) -> Mapping[str, SourceHealth]:  # noqa: ARG002 (as in Store)
        """Return the health of all keys."""
        with self._lock:
            self._apply_reports()
            now = self._now()
            cells = dict(self._cells)
        return {key: cell.health(now) for key, cell in cells.items() if now < cell.expires}

    async def asnapshot(self, rules: Rules) -> Mapping[str, SourceHealth]:
        """Return the same to async code."""
        return self.snapshot(rules)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _cell(self, key: str, now: int) -> Cell:
        cell = self._cells.get(key, UNKNOWN)
        return cell if now < cell.expires else UNKNOWN

    def _apply_reports(self) -> None:
        while self._reports:
            report, rules = self._reports.popleft()
            cell = self._cell(report.key, report.now)
            if cell is UNKNOWN or report.outcome == "failed" or not cell.is_clean:
                self._keep(report.key, cell.after(report, rules), rules, report.now)

    def _keep(self, key: str, cell: Cell, rules: Rules, now: int) -> None:
        expires = max(now, cell.until) + rules.memory
        self._cells[key] = replace(cell, expires=expires)
        if len(self._cells) > self._prune_at:
            self._cells = {key: cell for key, cell in self._cells.items() if now < cell.expires}
            self._prune_at = max(_PRUNED_AT, 2 * len(self._cells))
