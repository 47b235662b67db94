"""A signal handler that raises, at each point of core and drivers where Python may run it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from drivers.signals import Numbers, Signal, Soft, Sources, drain_into, needs_monitoring
from failover_iter import Failed, Policy, Resume, Skip
from support.flavour import SyncFlavour

pytestmark = needs_monitoring


# A signal may come between the call of a coroutine function and its `await`.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:an async stream was not closed:ResourceWarning")
@pytest.mark.parametrize("is_nested", [False, True])
@pytest.mark.parametrize("commit_when", [1, 2])
@pytest.mark.parametrize("mode", ["skip", Skip(key=str), Resume(keep=0), Resume(keep=2)])
def test_no_item_is_lost(
    flavour: SyncFlavour, is_nested: bool, commit_when: int, mode: Any
) -> None:
    """Each item arrives once, in order, or the consumer gets the error; each source is closed."""
    policy = Policy(
        retry_on=(Soft, ConnectionError), mid_stream=mode, attempts=3, commit_when=commit_when
    )
    number = 0
    while True:
        number += 1
        made, got, signal = Sources(), list[int](), Signal(number)
        factory = made.resumed if isinstance(mode, Resume) else made.started
        sources: list[Any] = [policy.source([factory])] if is_nested else [factory]
        stream = flavour.of(policy, sources)
        with signal.armed():
            try:
                drain_into(got, flavour, stream)
                assert got == [*range(6)]
            except Soft:
                assert got == [*range(len(got))]
        assert flavour.drain(stream) == []
        assert [each.closed for each in made.opened] == [1] * len(made.opened)
        if signal.left > 0:  # there were fewer checks
            assert number > 200
            return


class Generators:
    """The same numbers from generators, which are known not to have raised while they go on."""

    def __init__(self, flavour: SyncFlavour) -> None:
        self.flavour = flavour
        self.opened = 0

    def started(self) -> Any:
        self.opened += 1
        numbers = Numbers(0, fails=self.opened == 1)
        return passed_on(numbers) if self.flavour.name == "sync" else apassed_on(numbers)


def passed_on(numbers: Numbers) -> Iterator[int]:
    yield from numbers


async def apassed_on(numbers: Numbers) -> AsyncIterator[int]:
    for number in numbers:
        yield number


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:an async stream was not closed:ResourceWarning")
@pytest.mark.parametrize("commit_when", [1, 2])
def test_a_generator_is_never_blamed(flavour: SyncFlavour, commit_when: int) -> None:
    """A generator that has not ended has not raised: no handler's error is its failure."""
    number = 0
    while True:
        number += 1
        got, signal, events = list[int](), Signal(number), list[Any]()
        policy = Policy(
            retry_on=(Soft, ConnectionError),
            mid_stream=Skip(key=str),
            attempts=3,
            commit_when=commit_when,
            expect_items=6,
            on_event=events.append,
        )
        stream = flavour.of(policy, [Generators(flavour).started])
        with signal.armed(), suppress(Soft):
            drain_into(got, flavour, stream)
        assert got == [*range(len(got))]
        errors = [each.error for each in events if isinstance(each, Failed)]
        assert not any(isinstance(error, Soft) for error in errors)
        flavour.drain(stream)
        if signal.left > 0:
            return
