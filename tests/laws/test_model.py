"""Law 10: sync, asyncio, trio and the reference model produce the same trace."""

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
    """The sync driver produces the trace of the reference model."""
    expected = model(case)
    event(f"switches: {sum(entry[0] == 'Switched' for entry in expected)}")
    assert run_sync(case) == expected


@quick
@given(cases())
def test_asyncio_is_the_model(case: Case) -> None:
    """Under asyncio, the async driver produces the trace of the reference model."""
    assert run_asyncio(case) == model(case)


@quick
@given(cases())
def test_trio_is_the_model(case: Case) -> None:
    """Under trio, the async driver produces the trace of the reference model."""
    assert run_trio(case) == model(case)


@quick
@given(cases())
def test_without_a_listener(case: Case) -> None:
    """Without a listener, the stream delivers, opens and closes the same."""
    assert run_sync(case, listen=False) == model(case, listen=False)
