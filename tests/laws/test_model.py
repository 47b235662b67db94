"""Law 10 and all that a trace shows: sync, asyncio, trio and the reference model agree."""

from __future__ import annotations

from hypothesis import HealthCheck, event, given, settings

from support.case import Case
from support.model import model
from support.runners import run_asyncio, run_sync, run_trio
from support.strategies import cases

quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(cases())
def test_sync_is_the_model(case: Case) -> None:
    """The blocking driver gives the trace of the reference model, whatever the case."""
    expected = model(case)
    event(f"switches: {sum(entry[0] == 'Switched' for entry in expected)}")
    assert run_sync(case) == expected


@quick
@given(cases())
def test_asyncio_is_the_model(case: Case) -> None:
    """The async driver gives the trace of the reference model under asyncio."""
    assert run_asyncio(case) == model(case)


@quick
@given(cases())
def test_trio_is_the_model(case: Case) -> None:
    """The async driver gives the trace of the reference model under trio."""
    assert run_trio(case) == model(case)


@quick
@given(cases())
def test_nobody_listens(case: Case) -> None:
    """What is delivered, opened and closed is the same when nobody listens."""
    assert run_sync(case, listen=False) == model(case, listen=False)
