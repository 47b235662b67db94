"""Test your own pipelines of iterators against injected faults.

A pipeline is any callable that combines source factories into one iterator or async iterator. It
does not have to use failover_iter. `plans` generates plans of what goes wrong; `verify` runs a plan
and checks the result. Requires `hypothesis`: `pip install failover-iter[testing]`.
"""

try:
    import hypothesis as _  # noqa: F401  # (the first import that needs it would say less)
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "failover_iter.testing needs hypothesis: pip install 'failover-iter[testing]'",
        name="hypothesis",
    ) from missing

from failover_iter.testing._composed import attempts_at_most, equals, survives, within
from failover_iter.testing._conformance import check_failover_laws
from failover_iter.testing._faults import Bug, Interrupt
from failover_iter.testing._inject import inject
from failover_iter.testing._loop import JumpingLoop
from failover_iter.testing._must_see import NeverHappened, must_see
from failover_iter.testing._oracles import Oracle
from failover_iter.testing._plan_strategies import (
    CONSUMERS,
    DEFAULT_CONSUMERS,
    DEFAULT_FAULTS,
    FAULTS,
    plans,
)
from failover_iter.testing._plans import Consumer, Plan, SourceScript
from failover_iter.testing._run_plan import run_plan
from failover_iter.testing._runs import Interruption, LogEntry, Runaway, RunResult
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
    "DEFAULT_CONSUMERS",
    "DEFAULT_FAULTS",
    "FAULTS",
    "BadSource",
    "BrokenLaw",
    "Bug",
    "Consumer",
    "FaultServer",
    "Interrupt",
    "Interruption",
    "JumpingLoop",
    "LogEntry",
    "NeverHappened",
    "Oracle",
    "Plan",
    "RunResult",
    "Runaway",
    "SourceScript",
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
    "must_see",
    "plans",
    "run_plan",
    "survives",
    "verify",
    "within",
]
