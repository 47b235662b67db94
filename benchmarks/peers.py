"""Other ways to go on after a failure, doing the same work as `cases`; each says what it lacks.

Ours stands among them, and the loop by hand that tells the consumer's errors from the source's.
Each is asked for three streams: one with many items, one with a single item, and one that fails
`SWITCHES` times before its first item. A peer that knows no second source is given one that fails
so often by itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import google.api_core.retry
import reactivex
import stamina
import stamina.instrumentation
from langchain_core.runnables import Runnable
from reactivex import operators

from failover_iter import Policy

from . import streams
from .cases import POLICY, SWITCHES
from .streams import drain, naive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESTART_ONLY = "the same source again, from its start"
NOT_CLOSED = "the failed source is not closed"
THROW_SWITCHES = "what the consumer throws in causes a retry"
FIRST_ITEM_ONLY = "nothing after the first item"
NO_SEND = "no send, no throw"


@dataclass(frozen=True)
class Peer:
    """One way to make the three streams, and what it does not do that `failover_stream` does."""

    items: Callable[[], Any]
    one: Callable[[], Any] | None = None
    switching: Callable[[], Any] | None = None
    lacks: tuple[str, ...] = ()
    #: How what it makes is consumed.
    drain: Callable[[Any], None] = drain
    #: It can be pulled for its first item before the clock is started.
    pulls: bool = True


def failing() -> Iterator[int]:
    """Fail before the first item."""
    raise ConnectionError("reset")
    yield


class Flaky:
    """A source that fails `SWITCHES` times, then gives one item."""

    def __init__(self) -> None:
        """Begin with all of them ahead."""
        self._left = SWITCHES

    def open(self) -> Iterator[int]:
        """Open it once more."""
        if self._left:
            self._left -= 1
            raise ConnectionError("reset")
        yield 1


FACTORIES: list[Callable[[], Iterator[int]]] = [*[failing] * SWITCHES, streams.one_item]


def by_hand(factories: list[Callable[[], Iterator[Any]]]) -> Iterator[Any]:
    """The loop that one would write who knows of all the traps; no send, no throw."""
    last: OSError | None = None
    for factory in factories:
        source = None
        try:
            try:
                source = factory()
            except OSError as error:
                last = error
                continue
            while True:
                try:
                    item = next(source)
                except StopIteration:
                    return
                except OSError as error:
                    last = error
                    break
                yield item
        finally:
            if source is not None and (close := getattr(source, "close", None)) is not None:
                close()
    assert last is not None
    raise last


stamina.instrumentation.set_on_retry_hooks(())  # no log: what is measured is the stream
_stamina = stamina.retry(
    on=OSError, attempts=SWITCHES + 1, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0
)
_google: Any = google.api_core.retry.StreamingRetry(
    google.api_core.retry.if_exception_type(OSError), initial=0, maximum=0, timeout=None
)
# It logs each retry at the level DEBUG, which no logger takes here.
logging.getLogger("google.api_core.retry").setLevel(logging.WARNING)


def _decorated(decorate: Callable[..., Any]) -> dict[str, Callable[[], Any]]:
    return {
        "items": decorate(streams.generator),
        "one": decorate(streams.one_item),
        "switching": lambda: decorate(_generator_of(Flaky()))(),
    }


def _generator_of(flaky: Flaky) -> Callable[[], Iterator[int]]:
    def source() -> Iterator[int]:
        yield from flaky.open()

    return source


class _Streaming(Runnable[None, int]):
    """A runnable that only gives what its factory gives."""

    def __init__(self, factory: Callable[[], Iterator[int]]) -> None:
        self._factory = factory

    def invoke(self, input: None, config: Any = None, **_: Any) -> int:  # noqa: A002
        return next(self._factory())

    def stream(self, input: None, config: Any = None, **_: Any) -> Iterator[int]:  # noqa: A002
        return self._factory()


def _langchain(factories: list[Callable[[], Iterator[int]]]) -> Callable[[], Any]:
    first, *others = map(_Streaming, factories)
    chain = first.with_fallbacks(others, exceptions_to_handle=(OSError,))
    return lambda: chain.stream(None)


def _observable(factory: Callable[[], Iterator[int]]) -> Any:
    return reactivex.defer(lambda _: reactivex.from_iterable(factory()))


def _reactivex(factories: list[Callable[[], Iterator[int]]]) -> Callable[[], Any]:
    return lambda: reactivex.catch(*map(_observable, factories))


def _drain_observable(observable: Any) -> None:
    observable.pipe(operators.ignore_elements()).subscribe(on_error=_fail)


def _fail(error: Exception) -> None:
    raise error


def _three(make: Callable[[list[Any]], Any]) -> dict[str, Callable[[], Any]]:
    """The three streams of something that is called with the factories."""
    return {
        "items": partial(make, [streams.generator]),
        "one": partial(make, [streams.one_item]),
        "switching": partial(make, FACTORIES),
    }


PEERS = {
    "bare generator": Peer(
        items=streams.generator, one=streams.one_item, lacks=("no failure is survived",)
    ),
    "naive loop": Peer(
        **_three(naive), lacks=("what the consumer throws in causes a switch", NOT_CLOSED, NO_SEND)
    ),
    "loop by hand": Peer(**_three(by_hand), lacks=(NO_SEND, "no return value")),
    "failover_stream": Peer(**_three(POLICY.stream)),
    "failover_stream, mid_stream=skip": Peer(
        **_three(Policy(retry_on=OSError, mid_stream="skip").stream)
    ),
    "stamina.retry": Peer(**_decorated(_stamina), lacks=(RESTART_ONLY, THROW_SWITCHES)),
    "google-api-core StreamingRetry": Peer(
        **_decorated(_google), lacks=(RESTART_ONLY, NOT_CLOSED, THROW_SWITCHES)
    ),
    "langchain-core with_fallbacks": Peer(
        items=_langchain([streams.generator, streams.generator]),
        one=_langchain([streams.one_item, streams.one_item]),
        switching=_langchain(FACTORIES),
        lacks=(FIRST_ITEM_ONLY, NOT_CLOSED, NO_SEND),
    ),
    "reactivex catch": Peer(
        items=_reactivex([streams.generator]),
        one=_reactivex([streams.one_item]),
        switching=_reactivex(FACTORIES),
        lacks=("pushes: no consumer that pulls", "from its start only", NO_SEND),
        drain=_drain_observable,
        pulls=False,
    ),
}
