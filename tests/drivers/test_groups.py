"""Groups on both drivers: modes, sources that are passed over, and memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import Decide, Policy, Progress, Source, Takeover, failover, failover_stream
from support.flavour import SyncFlavour, Thing
from support.runners import quiet


def source(flavour: SyncFlavour, *items: int, fails: bool = False) -> Any:
    def source() -> Iterator[int]:
        yield from items
        if fails:
            raise ConnectionError("reset by peer")

    return flavour.generator(source)


def test_held_items_of_a_failed_source_are_discarded_at_any_level(flavour: SyncFlavour) -> None:
    """So are items that the outer level holds: nothing was delivered, and nothing is repeated."""
    inside = Policy(retry_on=ConnectionError).source(
        [source(flavour, 1, fails=True), source(flavour, 1, 2, fails=True)]
    )
    stream = flavour.stream([inside, source(flavour, 1, 2, 3, 4)], mid_stream="skip", commit_when=2)
    assert flavour.drain(stream) == [1, 2, 3, 4]


@pytest.mark.parametrize("mid_stream", ["restart", "skip"])
def test_the_first_source_of_a_group_may_be_passed_over(
    flavour: SyncFlavour, mid_stream: Any
) -> None:
    """A source with `mid_stream="raise"` takes over from no other, in a group or not."""
    policy = Policy(retry_on=ConnectionError, mid_stream=mid_stream)
    first, shy = source(flavour, 1, fails=True), Source(source(flavour, 9), mid_stream="raise")
    last = source(flavour, 1, 2)
    flat = flavour.drain(flavour.of(policy, [first, shy, last]))
    assert flavour.drain(flavour.of(policy, [first, policy.source([shy, last])])) == flat


def test_all_sources_of_a_group_may_be_passed_over(flavour: SyncFlavour) -> None:
    """Then the outer level goes on with its next source, or ends with the error before."""
    policy = Policy(retry_on=ConnectionError)
    shy = policy.source([Source(source(flavour, 9), mid_stream="raise")])
    first = source(flavour, 1, fails=True)
    assert flavour.drain(flavour.of(policy, [first, shy, source(flavour, 1, 2)])) == [1, 1, 2]
    with pytest.raises(ConnectionError, match="reset by peer"):
        flavour.drain(flavour.of(policy, [first, shy]))


class Lazily:
    """An iterable of factories that can be read more than once, and whose length is unknown."""

    def __init__(self, factories: list[Any]) -> None:
        self.factories = factories

    def __iter__(self) -> Iterator[Any]:
        return iter(self.factories)


@pytest.mark.parametrize("kind", [list, Lazily])
def test_all_sources_of_a_group_in_a_group_may_be_passed_over(
    flavour: SyncFlavour, kind: Any
) -> None:
    """Also if the inner group is lazy, so that the outer one opens before anyone knows."""
    policy = Policy(retry_on=ConnectionError, mid_stream="skip")
    shy = Source(source(flavour, 9), mid_stream="raise")
    inner = policy.source(kind([shy]))
    first = source(flavour, 1, fails=True)
    stream = flavour.of(policy, [first, policy.source([inner]), source(flavour, 1, 2)])
    assert flavour.drain(stream) == [1, 2]


def outcome(flavour: SyncFlavour, policy: Policy, sources: list[Any], **options: Any) -> list[Any]:
    """Everything that arrives: items, markers, and how the stream ends."""
    arrived: list[Any] = []
    stream = flavour.of(policy, sources, **options)
    try:
        while True:
            item = flavour.next(stream)
            arrived.append((item.mode, item.delivered) if isinstance(item, Takeover) else item)
    except Exception as error:
        return [*arrived, type(error)]


@pytest.mark.parametrize("outer", ["restart", "skip"])
@pytest.mark.parametrize("own", ["restart", "skip"])
def test_a_source_with_its_own_mode_in_a_group(flavour: SyncFlavour, outer: Any, own: Any) -> None:
    """Items and markers are those of the flat list."""
    policy = Policy(retry_on=ConnectionError, mid_stream=outer)
    first, last = source(flavour, 1, 2, fails=True), source(flavour, *range(1, 6))
    middle = Source(source(flavour, 1, 2, 3, fails=True), mid_stream=own)
    flat = outcome(flavour, policy, [first, middle, last], mark_takeovers=True)
    assert [item for item in flat if item in (4, 5)] == [4, 5]
    for sources in (
        [first, policy.source([middle]), last],
        [first, policy.source([policy.source([middle, last])])],
        [policy.source([first, middle]), last],
    ):
        assert outcome(flavour, policy, sources, mark_takeovers=True) == flat


@pytest.mark.parametrize(
    ("option", "own"),
    [("complete_when", None), ("allow_empty", True), ("commit_when", 1), ("retry_on", LookupError)],
)
def test_an_override_in_a_group(flavour: SyncFlavour, option: str, own: Any) -> None:
    """An option that a source sets itself holds in a group, with the outcome of the flat list."""
    options: dict[str, Any] = {
        "complete_when": lambda item: item == 3,
        "allow_empty": False,
        "commit_when": 2,
        "retry_on": ConnectionError,
    }
    policy = Policy(**options)
    last = source(flavour, 1, 2, 3)
    for items in ((), (1,), (1, 2)):
        for fails in (False, True):
            override = Source(source(flavour, *items, fails=fails), **{option: own})
            flat = outcome(flavour, policy, [override, last])
            assert outcome(flavour, policy, [policy.source([override, last])]) == flat


def test_a_progress_holds_the_failures_of_a_group(flavour: SyncFlavour) -> None:
    """Each failure is in it once, those of inner sources too."""
    seen: list[list[str]] = []

    def fails(name: str) -> Any:
        def opened(progress: Progress[Any]) -> Iterator[Any]:
            seen.append([str(failed.error) for failed in progress.failures])
            raise ConnectionError(name)
            yield

        return flavour.generator(opened)

    policy = Policy(retry_on=ConnectionError, mid_stream="resume")
    a, b, c, d = (fails(name) for name in "abcd")
    for sources in ([a, b, c, d], [a, policy.source([b, c]), d]):
        seen.clear()
        with pytest.raises(ConnectionError):
            flavour.drain(flavour.of(policy, sources))
        assert seen == [[], ["a"], ["a", "b"], ["a", "b", "c"]]


@pytest.mark.parametrize("own", ["skip", "decide"])
def test_the_first_source_of_a_group_takes_over_in_its_own_mode(
    flavour: SyncFlavour, own: str
) -> None:
    """Its own mode has priority over that of the outer level, in a group or not."""
    policy = Policy(retry_on=ConnectionError)
    first, last = source(flavour, 1, fails=True), source(flavour, 1, 2)
    if own == "skip":
        mine = Source(last, mid_stream="skip")
    else:
        taking = flavour.generator(lambda progress: iter_of(1, 2))
        mine = Source(taking, mid_stream=Decide(lambda progress: "skip"))
    assert flavour.drain(flavour.of(policy, [first, mine])) == [1, 2]
    assert flavour.drain(flavour.of(policy, [first, policy.source([mine])])) == [1, 2]


def iter_of(*items: int) -> Iterator[int]:
    yield from items


@pytest.mark.parametrize("how", ["cause", "group"])
def test_the_cause_of_a_survived_error_is_let_go_too(flavour: SyncFlavour, how: str) -> None:
    """Otherwise each failure would hold the one before, through frames and arguments."""
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    def flaky(progress: Progress[int]) -> Iterator[int]:
        thing = Thing()
        alive.add(thing)
        yield progress.delivered
        try:
            raise KeyError("cause")
        except KeyError as cause:
            if how == "group":
                raise ExceptionGroup(
                    "both", [ConnectionError("x"), ConnectionError("y")]
                ) from cause
            raise ConnectionError("reset by peer") from cause

    gc.collect()
    gc.disable()
    try:
        stream = flavour.stream([flavour.generator(flaky)], mid_stream="resume", attempts=200)
        with pytest.raises((ConnectionError, ExceptionGroup)):
            flavour.drain(stream)
        del stream
        assert len(alive) <= 33  # `Progress.failures` keeps the first and the last 16
    finally:
        gc.enable()


def test_a_list_of_many_that_may_not_take_over(flavour: SyncFlavour) -> None:
    """However long the list is, the source after them is tried."""
    shy = Source(source(flavour, 9), mid_stream="raise")
    sources = [source(flavour, 1, fails=True), *[shy] * 1500, source(flavour, 1, 2)]
    assert flavour.drain(flavour.stream(sources)) == [1, 1, 2]


def test_an_argument_that_a_fallback_would_take_for_its_progress() -> None:
    """The call is refused at once, not when the fallback is opened."""

    def fallback(
        table: str, progress: Progress[int] = Progress(), limit: int = 10
    ) -> Iterator[int]:
        yield from range(progress.delivered, limit)

    @failover(fallback, retry_on=ConnectionError, mid_stream="resume")
    def read(table: str, limit: int = 10, *, progress: Progress[int] = Progress()) -> Iterator[int]:
        yield from range(progress.delivered, limit)

    assert list(read("t", limit=2)) == [0, 1]
    with pytest.raises(TypeError, match=r"fallback\(\) cannot take this call"):
        read("t", 5)


def test_a_progress_that_more_arguments_may_follow() -> None:
    """It could not be distinguished from them, so it must be a keyword."""
    with pytest.raises(TypeError, match="as a keyword"):

        @failover(retry_on=ConnectionError, mid_stream="resume")
        def read(progress: Progress[int] = Progress(), *more: int) -> Iterator[int]:
            yield from more


def test_an_error_in_a_circle_of_causes() -> None:
    """It is followed once around the circle."""
    error, cause = ConnectionError("one"), KeyError("two")
    error.__cause__, cause.__context__ = cause, error

    def fails(progress: Progress[int]) -> Iterator[int]:
        if progress.attempt == 1:
            raise error
        yield 1

    with quiet():
        stream = failover_stream([fails], retry_on=OSError, mid_stream="resume", attempts=2)
        assert list(stream) == [1]
