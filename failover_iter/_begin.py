"""From options and factories to what a driver runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._checks import check_bool
from failover_iter._core import Run
from failover_iter._entries import read_factories
from failover_iter._log import log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_iter._commands import Handover
    from failover_iter._options import Options
    from failover_iter._strategies import Progress
    from failover_iter._types import Flavour


def begin(
    options: Options,
    factories: Iterable[Any],
    flavour: Flavour,
    *,
    announce: bool,
    seed: Progress | Handover | None = None,
) -> Run:
    """Check the factories, and make the run of one stream over them."""
    if announce is not False:
        check_bool("announce", announce)
    entries = read_factories(factories, flavour, options)
    return Run(options, entries, flavour=flavour, announce=announce, seed=seed, report=log)
