"""Law 10 with time limits: sync, asyncio, trio and the reference model produce the same trace."""

from __future__ import annotations

import pytest
from hypothesis import event

from support.case import Case
from support.model import model
from support.runners import run_asyncio, run_sync, run_trio
from support.size import explore
from support.timed import timed_cases

pytestmark = pytest.mark.usefixtures("no_log")


@explore(timed_cases())
def test_sync_is_the_model(case: Case) -> None:
    """The sync driver produces the trace of the model, in which it abandons stalled sources."""
    expected = model(case, blocking=True)
    event(f"timed out: {sum('SourceTimeout' in str(entry) for entry in expected) > 0}")
    event(f"total time expired: {'StreamTimeout' in str(expected)}")
    assert run_sync(case) == expected


@explore(timed_cases())
def test_asyncio_is_the_model(case: Case) -> None:
    """Under asyncio, the async driver produces the trace of the model."""
    assert run_asyncio(case) == model(case)


@explore(timed_cases())
def test_trio_is_the_model(case: Case) -> None:
    """Under trio, the async driver produces the trace of the model."""
    assert run_trio(case) == model(case)


@explore(timed_cases())
def test_without_a_listener(case: Case) -> None:
    """Without a listener, the stream delivers, opens and closes the same."""
    expected = model(case, listen=False, blocking=True)
    assert run_sync(case, listen=False) == expected
