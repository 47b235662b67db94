"""The cases: each compares the naive loop with this library."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from failover_iter import Policy, Resume, Skip, afailover_stream, failover, failover_stream

from . import streams
from .streams import async_naive, drain, drain_async, naive, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

POLICY = Policy(retry_on=OSError)


@dataclass(frozen=True)
class Case:
    """The same work done in two ways. `limit` is the allowed cost; `None` sets no limit."""

    naive: Callable[[], Any]
    ours: Callable[[], Any]
    limit: float | None = None
    is_async: bool = False

    @property
    def drain(self) -> Callable[[Any], None]:
        """The function that consumes the streams."""
        return drain_async if self.is_async else drain

    def started(self, make: Callable[[], Any]) -> Any:
        """Create a stream and pull its first item. The rest costs only the time per item."""
        stream = make()
        if self.is_async:
            run(anext(stream))
        else:
            next(stream)
        return stream


def _ignore(_: object) -> None:
    pass


def _per_item(factory: Callable[[], Any], limit: float | None = None, **options: Any) -> Case:
    return Case(
        naive=lambda: naive([factory]),
        ours=lambda: failover_stream([factory], retry_on=OSError, **options),
        limit=limit,
    )


def _per_async_item(factory: Callable[[], Any], limit: float | None = None, **options: Any) -> Case:
    return Case(
        naive=lambda: async_naive([factory]),
        ours=lambda: afailover_stream([factory], retry_on=OSError, **options),
        limit=limit,
        is_async=True,
    )


def _per_resumed_item(mid_stream: Any = "resume", limit: float | None = 1.30) -> Case:
    return Case(
        naive=lambda: naive([streams.generator]),
        ours=lambda: failover_stream(
            [lambda _: streams.generator()], retry_on=OSError, mid_stream=mid_stream
        ),
        limit=limit,
    )


def _same(item: int) -> int:
    return item


def _is_last(item: int) -> bool:
    return item == len(streams.ITEMS) - 1


#: Whether this version of the library has timeouts.
HAS_TIMEOUTS = "idle_timeout" in signature(failover_stream).parameters
#: A timeout that never expires, in seconds: the cases measure the cost of having a timeout.
LIMIT = 3600


def _with_timeouts() -> dict[str, Case]:
    if not HAS_TIMEOUTS:
        return {}
    return {
        "generator, idle_timeout (separate thread)": _per_item(
            streams.generator, idle_timeout=LIMIT
        ),
        "generator, total_timeout (separate thread)": _per_item(
            streams.generator, total_timeout=LIMIT
        ),
        "generator, give_up_after": _per_item(streams.generator, give_up_after=LIMIT),
        "async generator, idle_timeout": _per_async_item(
            streams.async_generator, idle_timeout=LIMIT
        ),
        "async generator, total_timeout": _per_async_item(
            streams.async_generator, total_timeout=LIMIT
        ),
        "async generator, give_up_after": _per_async_item(
            streams.async_generator, give_up_after=LIMIT
        ),
    }


#: Time per item, as a ratio to the naive loop.
PER_ITEM = {
    "generator": _per_item(streams.generator, 1.15),
    "cheapest generator": _per_item(streams.cheapest_generator, 1.15),
    "generator, first of three sources": Case(
        lambda: naive([streams.generator] * 3),
        lambda: failover_stream([streams.generator] * 3, retry_on=OSError),
        limit=1.15,
    ),
    "list iterator": _per_item(streams.list_iterator, 1.20),
    "map object": _per_item(streams.map_object, 1.20),
    "class iterator": _per_item(streams.ClassIterator, 1.20),
    "async generator": _per_async_item(streams.async_generator, 1.00),
    "async class iterator": _per_async_item(streams.AsyncClassIterator, 1.00),
    "generator, mid_stream=raise": _per_item(streams.generator, 1.15, mid_stream="raise"),
    "generator, mid_stream=skip": _per_item(streams.generator, 1.30, mid_stream="skip"),
    "generator, mid_stream=resume": _per_resumed_item(),
    "generator, Resume(keep=10)": _per_resumed_item(Resume(keep=10), None),
    "generator, commit_when=3": _per_item(streams.generator, 1.30, commit_when=3),
    "generator, complete_when": _per_item(streams.generator, 1.30, complete_when=_is_last),
    "generator, on_event": _per_item(streams.generator, 1.30, on_event=_ignore),
    "generator, Skip(key=...)": _per_item(streams.generator, mid_stream=Skip(key=_same)),
    "async generator, mid_stream=skip": _per_async_item(
        streams.async_generator, 1.30, mid_stream="skip"
    ),
    "async generator, commit_when=3, complete_when": _per_async_item(
        streams.async_generator, 1.30, commit_when=3, complete_when=_is_last
    ),
    "async generator, on_event": _per_async_item(streams.async_generator, 1.30, on_event=_ignore),
    **_with_timeouts(),
}


@failover(retry_on=OSError)
def _decorated() -> Iterator[int]:
    yield 1


@failover(retry_on=OSError)
async def _async_decorated() -> AsyncIterator[int]:
    yield 1


def _opening(bare: Callable[[], Any], ours: Callable[[], Any], *, is_async: bool = False) -> Case:
    consume = drain_async if is_async else drain
    return Case(lambda: consume(bare()), lambda: consume(ours()), 10.0, is_async)


def _three(factory: Callable[[], Any]) -> list[Any]:
    return [factory, streams.no_item, streams.one_item]


def _three_async(factory: Callable[[], Any]) -> list[Any]:
    return [factory, streams.async_no_item, streams.async_one_item]


#: Creating a stream and pulling it to its end. Here `naive` is the bare generator, and the figure
#: is the difference in microseconds.
OPENING = {
    "failover_stream, one item": _opening(
        streams.one_item, lambda: failover_stream([streams.one_item], retry_on=OSError)
    ),
    "failover_stream, empty": _opening(
        streams.no_item, lambda: failover_stream([streams.no_item], retry_on=OSError)
    ),
    "failover_stream, one item, three sources": _opening(
        streams.one_item, lambda: failover_stream(_three(streams.one_item), retry_on=OSError)
    ),
    "Policy.stream, one item": _opening(
        streams.one_item, lambda: POLICY.stream([streams.one_item])
    ),
    "@failover, one item": _opening(streams.one_item, lambda: _decorated()),
    "afailover_stream, one item": _opening(
        streams.async_one_item,
        lambda: afailover_stream([streams.async_one_item], retry_on=OSError),
        is_async=True,
    ),
    "afailover_stream, empty": _opening(
        streams.async_no_item,
        lambda: afailover_stream([streams.async_no_item], retry_on=OSError),
        is_async=True,
    ),
    "afailover_stream, one item, three sources": _opening(
        streams.async_one_item,
        lambda: afailover_stream(_three_async(streams.async_one_item), retry_on=OSError),
        is_async=True,
    ),
    "Policy.astream, one item": _opening(
        streams.async_one_item, lambda: POLICY.astream([streams.async_one_item]), is_async=True
    ),
    "@failover async, one item": _opening(
        streams.async_one_item, lambda: _async_decorated(), is_async=True
    ),
}

#: Number of failures before the working source, in the cases of `SWITCH`.
SWITCHES = 50


def _refusing() -> Callable[[], Any]:
    def refusing() -> Any:
        raise ConnectionError("refused")

    return refusing


def _failing() -> Callable[[], Iterator[int]]:
    def failing() -> Iterator[int]:
        raise ConnectionError("reset")
        yield

    return failing


def _cut() -> Callable[[], Iterator[int]]:
    def cut() -> Iterator[int]:
        yield 1
        raise ConnectionError("reset")

    return cut


def _async_failing() -> Callable[[], AsyncIterator[int]]:
    async def failing() -> AsyncIterator[int]:
        raise ConnectionError("reset")
        yield

    return failing


def _async_cut() -> Callable[[], AsyncIterator[int]]:
    async def cut() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("reset")

    return cut


def _switching(new_source: Callable[[], Callable[[], Any]]) -> Case:
    factories = [*(new_source() for _ in range(SWITCHES)), streams.one_item]
    return Case(
        lambda: drain(naive(factories)), lambda: drain(POLICY.stream(factories)), limit=20.0
    )


def _async_switching(new_source: Callable[[], Callable[[], Any]]) -> Case:
    factories = [*(new_source() for _ in range(SWITCHES)), streams.async_one_item]
    return Case(
        lambda: drain_async(async_naive(factories)),
        lambda: drain_async(POLICY.astream(factories)),
        limit=20.0,
        is_async=True,
    )


def _retrying(failing: Callable[[], Any]) -> Case:
    policy = Policy(retry_on=OSError, attempts=SWITCHES)
    return Case(
        lambda: drain(naive([*[failing] * SWITCHES, streams.one_item])),
        lambda: drain(policy.stream([failing, streams.one_item])),
        limit=20.0,
    )


#: A stream of `SWITCHES` failing sources and one that works: microseconds per failure.
SWITCH = {
    "the factory raises": _switching(_refusing),
    "the generator raises immediately": _switching(_failing),
    "the generator raises after an item": _switching(_cut),
    "retry of the same source (attempts)": _retrying(_failing()),
    "async, the factory raises": _async_switching(_refusing),
    "async, the generator raises immediately": _async_switching(_async_failing),
    "async, the generator raises after an item": _async_switching(_async_cut),
}
