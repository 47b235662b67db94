"""The state machine of the law of identity, step by step: no random script has to reach a line."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import settings

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing._identity import _AsyncIdentity, _SyncIdentity, check_identity
from failover_iter.testing._scripted_source import ScriptedSource

FLAVOURS = [(_SyncIdentity, failover_stream), (_AsyncIdentity, afailover_stream)]


def machine_of(base: Any, stream: Any) -> Any:
    """Return the state machine for a combinator."""

    def combinator(factories: Any) -> Any:
        return stream(factories, retry_on=ConnectionError)

    parts = {"combinator": staticmethod(combinator), "failure": ConnectionError}
    return type("Identity", (base,), parts)()


@pytest.mark.parametrize(("base", "stream"), FLAVOURS)
def test_steps(base: Any, stream: Any) -> None:
    """Items, what the source answers, the end, and a close after the end are compared."""
    machine = machine_of(base, stream)
    machine.begin(ScriptedSource(pulls=("item", "item", "end"), value=0), "generator")
    machine.next()
    machine.send(1)
    assert not machine.ended
    machine.next()
    assert machine.ended
    machine.close()
    machine.closed_at_most_once()
    machine.teardown()


@pytest.mark.parametrize(("base", "stream"), FLAVOURS)
def test_a_throw(base: Any, stream: Any) -> None:
    """An error that the consumer throws reaches the source, and returns."""
    machine = machine_of(base, stream)
    machine.begin(ScriptedSource(pulls=("item",), throws=("reraise",)), "iterator")
    machine.next()
    machine.throw(KeyError, as_class=False)
    assert machine.ended
    machine.teardown()


def test_a_source_without_methods() -> None:
    """A list is compared too."""
    machine = machine_of(_SyncIdentity, failover_stream)
    machine.begin(ScriptedSource(), "list")
    machine.next()
    machine.close()
    machine.teardown()


@pytest.mark.parametrize(("base", "stream"), FLAVOURS)
def test_before_the_first_step(base: Any, stream: Any) -> None:
    """A machine that made no stream has none to abandon."""
    machine_of(base, stream).teardown()


def test_threads_are_waited_for() -> None:
    """A thread of the combinator that still runs at the end lets go of its source."""
    joined: list[threading.Thread] = []

    class Worker(threading.Thread):
        def __init__(self) -> None:
            self.released = threading.Event()
            super().__init__(target=self.released.wait)

        def join(self, timeout: float | None = None) -> None:
            self.released.set()
            super().join(timeout)
            joined.append(self)

    def combinator(factories: Any) -> Any:
        if not workers:
            workers.append(Worker())
            workers[0].start()
        return failover_stream(factories, retry_on=ConnectionError)

    workers: list[Worker] = []
    few = settings(max_examples=1, database=None)
    check_identity(combinator, ConnectionError, is_async=False, settings=few)
    assert joined == workers
