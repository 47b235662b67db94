"""Law 10: sync, asyncio, trio and the reference model produce the same trace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event
from hypothesis import strategies as st

from failover_iter.testing._plans import SourceScript
from laws.suite import delivered_under
from support.case import Case, SourcePlan
from support.model import model
from support.runners import run_asyncio, run_sync, run_trio
from support.size import explore
from support.strategies import cases, openings

pytestmark = pytest.mark.usefixtures("no_log")


@explore(cases())
def test_sync_is_the_model(case: Case) -> None:
    """The sync driver produces the trace of the reference model."""
    expected = model(case)
    event(f"switches: {sum(entry[0] == 'Switched' for entry in expected)}")
    assert run_sync(case) == expected


@explore(cases())
def test_asyncio_is_the_model(case: Case) -> None:
    """Under asyncio, the async driver produces the trace of the reference model."""
    assert run_asyncio(case) == model(case)


@explore(cases())
def test_trio_is_the_model(case: Case) -> None:
    """Under trio, the async driver produces the trace of the reference model."""
    assert run_trio(case) == model(case)


@explore(cases())
def test_without_a_listener(case: Case) -> None:
    """Without a listener, the stream delivers, opens and closes the same."""
    assert run_sync(case, listen=False) == model(case, listen=False)


MODES: list[Any] = ["restart", "raise", "skip", "resume"]


@explore(st.lists(openings(), min_size=1, max_size=4), st.sampled_from(MODES))
def test_the_model_of_the_kit_agrees(scripts: list[SourceScript], mode: Any) -> None:
    """The model of `check_failover_laws` delivers the same as the reference model."""
    sources = tuple(SourcePlan("abcd"[at], (script,)) for at, script in enumerate(scripts))
    case = Case(sources, mid_stream=mode)
    expected = [entry for entry in model(case, listen=False) if entry[0] in ENTRIES]
    trace: list[Any] = []
    try:
        for item in delivered_under(mode)(case.plan):
            trace.append(("item", int(item)))
        trace.append(("ended",))
    except BaseException:
        trace.append(("raised",))
    assert trace == [entry[:1] if entry[0] == "raised" else entry for entry in expected]


ENTRIES = ("item", "ended", "raised")
