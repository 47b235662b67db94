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

from failover_iter.testing._file_server import FileAnswer, file_server
from failover_iter.testing._inject import inject
from failover_iter.testing._must_see import must_see
from failover_iter.testing._oracle import Oracle
from failover_iter.testing._plan_strategies import plans
from failover_iter.testing._plans import Plan
from failover_iter.testing._runs import RunResult
from failover_iter.testing._server import fault_server
from failover_iter.testing._source_checks import check_closes, check_replayable, check_resumable
from failover_iter.testing._verify import BrokenLaw, run_plan, verify
from failover_iter.testing._virtual import VirtualClock

__all__ = [
    "BrokenLaw",
    "FileAnswer",
    "Oracle",
    "Plan",
    "RunResult",
    "VirtualClock",
    "check_closes",
    "check_replayable",
    "check_resumable",
    "fault_server",
    "file_server",
    "inject",
    "must_see",
    "plans",
    "run_plan",
    "verify",
]
