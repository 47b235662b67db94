"""From options and factories to what a driver runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._core.run import Run
from failover_iter._core.sources import read_factories
from failover_iter._validation import check_bool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_iter._core.commands import Handover
    from failover_iter._core.reporting import Report
    from failover_iter._mid_stream import Progress
    from failover_iter._options import Options
    from failover_iter._types import Flavour


def begin(
    options: Options,
    factories: Iterable[Any],
    flavour: Flavour,
    *,
    mark_takeovers: bool,
    seed: Progress | Handover | None = None,
    report: Report,
) -> Run:
    """Check the factories, and make the run of one stream over them."""
    if mark_takeovers is not False:
        check_bool("mark_takeovers", mark_takeovers)
    entries = read_factories(factories, flavour, options)
    return Run(
        options, entries, flavour=flavour, mark_takeovers=mark_takeovers, seed=seed, report=report
    )
