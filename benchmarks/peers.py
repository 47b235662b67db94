"""Other ways to survive a failure, with their missing features.

The list includes this library, and a hand-written loop that distinguishes the consumer's errors
from those of the source. Each peer creates three streams: one with many items, one with a single
item, and one that fails `SWITCHES` times before its first item. A peer that supports only one
source uses a source that fails `SWITCHES` times itself.
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
from reactivex import operators

from failover_iter import Policy

from . import langchain, streams
from .streams import POLICY, SWITCHES, drain, naive
from .switch import as_new_function, failing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESTART_ONLY = "retries only the same source, from its start"
NOT_CLOSED = "does not close the failed source"
THROW_SWITCHES = "an exception thrown in by the consumer causes a retry"
FIRST_ITEM_ONLY = "does not cover failures after the first item"
NO_SEND = "no send or throw"


@dataclass(frozen=True)
class Peer:
    """One way to create the three streams, and the features of `failover_stream` that it lacks."""

    items: Callable[[], Any]
    one: Callable[[], Any] | None = None
    switching: Callable[[], Any] | None = None
    lacks: tuple[str, ...] = ()
    #: The function that consumes the streams.
    drain: Callable[[Any], None] = drain
    #: Whether the first item can be pulled before the measurement starts.
    pulls: bool = True


class Flaky:
    """A source that fails `SWITCHES` times, then yields one item."""

    def __init__(self) -> None:
        self._left = SWITCHES

    def open(self) -> Iterator[int]:
        """Open the source again."""
        if self._left:
            self._left -= 1
            raise ConnectionError("reset")
        yield 1


FACTORIES: list[Callable[[], Iterator[int]]] = [
    *(as_new_function(failing) for _ in range(SWITCHES)),
    streams.one_item,
]


def by_hand(factories: list[Callable[[], Iterator[Any]]]) -> Iterator[Any]:
    """A hand-written loop that avoids all known traps, but does not support send and throw."""
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


stamina.instrumentation.set_on_retry_hooks(())  # no logging, so that only the stream is measured
_stamina = stamina.retry(
    on=OSError, attempts=SWITCHES + 1, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0
)
_google: Any = google.api_core.retry.StreamingRetry(
    google.api_core.retry.if_exception_type(OSError), initial=0, maximum=0, timeout=None
)
# google-api-core logs each retry at the level DEBUG. Disable that.
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


def _langchain(factories: list[Callable[[], Iterator[int]]]) -> Callable[[], Any]:
    chain = langchain.minimal(factories)
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
    """The three streams of a function that is called with the factories."""
    return {
        "items": partial(make, [streams.generator]),
        "one": partial(make, [streams.one_item]),
        "switching": partial(make, FACTORIES),
    }


PEERS = {
    "bare generator": Peer(
        items=streams.generator, one=streams.one_item, lacks=("survives no failure",)
    ),
    "naive loop": Peer(
        **_three(naive),
        lacks=("an exception thrown in by the consumer causes a switch", NOT_CLOSED, NO_SEND),
    ),
    "hand-written loop": Peer(**_three(by_hand), lacks=(NO_SEND, "no return value")),
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
        lacks=("push-based: the consumer cannot pull", "restarts only from the beginning", NO_SEND),
        drain=_drain_observable,
        pulls=False,
    ),
}
