"""Test your own pipelines of iterators against injected faults.

A pipeline is anything that makes one iterator, or async iterator, from factories of others; it
need not know of failover_iter. `plans` makes plans of what goes wrong, `verify` runs one and
judges it. Needs `hypothesis`: `pip install failover-iter[testing]`.
"""

from failover_iter.testing._composed import attempts_at_most, equals, survives, within
from failover_iter.testing._conformance import check_failover_laws
from failover_iter.testing._faults import Bug, Interrupt
from failover_iter.testing._inject import inject
from failover_iter.testing._loop import JumpingLoop
from failover_iter.testing._must_see import Vacuous, sometimes
from failover_iter.testing._oracles import Oracle
from failover_iter.testing._plan_strategies import CONSUMERS, FAULTS, USUAL, USUAL_CONSUMERS, plans
from failover_iter.testing._plans import Consumer, Opening, Plan
from failover_iter.testing._run_plan import play
from failover_iter.testing._runs import Entry, Interruption, Run, Runaway
from failover_iter.testing._server import FaultServer, fault_server
from failover_iter.testing._source_checks import (
    BadSource,
    acheck_closes,
    acheck_replayable,
    acheck_resumable,
    check_closes,
    check_replayable,
    check_resumable,
)
from failover_iter.testing._verify import BrokenLaw, verify
from failover_iter.testing._virtual import VirtualClock

__all__ = [
    "CONSUMERS",
    "FAULTS",
    "USUAL",
    "USUAL_CONSUMERS",
    "BadSource",
    "BrokenLaw",
    "Bug",
    "Consumer",
    "Entry",
    "FaultServer",
    "Interrupt",
    "Interruption",
    "JumpingLoop",
    "Opening",
    "Oracle",
    "Plan",
    "Run",
    "Runaway",
    "Vacuous",
    "VirtualClock",
    "acheck_closes",
    "acheck_replayable",
    "acheck_resumable",
    "attempts_at_most",
    "check_closes",
    "check_failover_laws",
    "check_replayable",
    "check_resumable",
    "equals",
    "fault_server",
    "inject",
    "plans",
    "play",
    "sometimes",
    "survives",
    "verify",
    "within",
]
