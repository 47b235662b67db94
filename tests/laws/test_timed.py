"""Law 10 with limits of time: sync, asyncio, trio and the reference model agree."""

from __future__ import annotations

from hypothesis import HealthCheck, event, given, settings

from support.case import Case
from support.model import model
from support.runners import run_asyncio, run_sync, run_trio
from support.timed import timed_cases

quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(timed_cases())
def test_sync_is_the_model(case: Case) -> None:
    """The blocking driver gives the trace of the model, but that it abandons what is stalled."""
    expected = model(case, blocking=True)
    event(f"timed out: {sum('SourceTimeout' in str(entry) for entry in expected) > 0}")
    event(f"time was over: {'StreamTimeout' in str(expected)}")
    assert run_sync(case) == expected


@quick
@given(timed_cases())
def test_asyncio_is_the_model(case: Case) -> None:
    """The async driver gives the trace of the model under asyncio."""
    assert run_asyncio(case) == model(case)


@quick
@given(timed_cases())
def test_trio_is_the_model(case: Case) -> None:
    """The async driver gives the trace of the model under trio."""
    assert run_trio(case) == model(case)


@quick
@given(timed_cases())
def test_nobody_listens(case: Case) -> None:
    """What is delivered, opened and closed is the same when nobody listens."""
    expected = model(case, listen=False, blocking=True)
    assert run_sync(case, listen=False) == expected
