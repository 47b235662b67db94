"""`Policy`: the options of a stream as one frozen value, and what can be made with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from failover_iter._core.new_run import begin
from failover_iter._core.sources import read_factories
from failover_iter._drivers import aio, sync
from failover_iter._drivers.log import log
from failover_iter._options import Nested, Options, Source

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    from failover_iter._core.commands import Handover
    from failover_iter._decorator import Decorator
    from failover_iter._options import AFactories, AOpened, Factories, Opened
    from failover_iter._types import Flavour, T
    from failover_iter.events import Takeover

__all__ = ["Policy"]


class Policy(Options):
    """The options of a stream: frozen, checked when built, shared without fear.

    Safe to share between threads, tasks and streams, and picklable when its callables are.
    `failover_stream` and its kin are one line over it; see there for the options, their defaults
    and the errors they raise. Make a changed copy with `dataclasses.replace`.

    Example:
        >>> from failover_iter import Policy
        >>> policy = Policy(retry_on=ConnectionError, mid_stream="skip")
        >>> def primary():
        ...     yield 1
        ...     raise ConnectionError("reset by peer")
        >>> def replica():
        ...     yield from (1, 2)
        >>> list(policy.stream([primary, replica]))
        [1, 2]
    """

    @overload
    def stream(
        self, factories: Factories[T], *, mark_takeovers: Literal[False] = False
    ) -> Generator[T, Any, Any]: ...
    @overload
    def stream(
        self, factories: Factories[T], *, mark_takeovers: bool
    ) -> Generator[T | Takeover, Any, Any]: ...
    def stream(self, factories: Iterable[Any], *, mark_takeovers: bool = False) -> Any:
        """Make a blocking stream over factories; see `failover_stream`."""
        return sync.drive(begin(self, factories, "sync", mark_takeovers=mark_takeovers, report=log))

    @overload
    def astream(
        self, factories: AFactories[T], *, mark_takeovers: Literal[False] = False
    ) -> AsyncGenerator[T, Any]: ...
    @overload
    def astream(
        self, factories: AFactories[T], *, mark_takeovers: bool
    ) -> AsyncGenerator[T | Takeover, Any]: ...
    def astream(self, factories: Iterable[Any], *, mark_takeovers: bool = False) -> Any:
        """Make an async stream over factories; see `afailover_stream`."""
        return aio.drive(begin(self, factories, "async", mark_takeovers=mark_takeovers, report=log))

    def failover(self, *fallbacks: Callable[..., Any]) -> Decorator:
        """Decorate a function that gives a stream with this policy; see `failover`."""
        from failover_iter._decorator import Decorator  # it is built on Policy

        return Decorator(self, fallbacks)

    @overload
    def source(self, factories: Factories[T], *, name: str | None = None) -> Source[Opened[T]]: ...
    @overload
    def source(
        self, factories: AFactories[T], *, name: str | None = None
    ) -> Source[AOpened[T]]: ...
    def source(self, factories: Iterable[Any], *, name: str | None = None) -> Source[Any]:
        """Make a source that is itself a failover over factories, for nesting.

        It is opened as a stream of this policy, in the flavour of the stream around it. Under
        one that resumes it must resume too (`mid_stream="resume"` or `Decide`): it is told how
        far the stream around is, and goes on from there.

        Args:
            factories: as in `failover_stream`; read anew at each opening.
            name: the source's name; the names of a list's factories unless given.

        Raises:
            NoSources: `factories` is an empty list.
            TypeError: one of a list is no factory.

        Example:
            >>> from failover_iter import Policy, failover_stream
            >>> def primary():
            ...     raise ConnectionError("refused")
            ...     yield
            >>> def replica():
            ...     yield from (1, 2)
            >>> region = Policy(retry_on=ConnectionError).source([primary, replica])
            >>> list(failover_stream([region], retry_on=ConnectionError))
            [1, 2]
        """
        if hasattr(factories, "__next__"):
            raise TypeError(
                f"factories of a Policy.source must be a list, or an iterable that can be read "
                f"more than once, got the iterator {factories!r}"
            )
        known = read_factories(factories, None, self)
        if name is None:
            names = [entry.name for entry in known] if isinstance(known, tuple) else ["failover"]
            name = "|".join(names)
        return Source(_Inner(self, factories, known), name=name)


class _Inner(Nested):
    def __init__(self, policy: Policy, factories: Iterable[Any], known: object) -> None:
        self.options = policy
        self._factories = factories
        self.entries = known if isinstance(known, tuple) else ()

    def open(self, flavour: Flavour, handover: Handover, mark_takeovers: bool) -> Any:  # noqa: FBT001
        run = begin(
            self.options,
            self._factories,
            flavour,
            mark_takeovers=mark_takeovers,
            seed=handover,
            report=log,
        )
        return (sync.drive if flavour == "sync" else aio.drive)(run)
