"""`Policy`: the options of a stream as one frozen value, and the streams it makes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from failover_iter._core.new_run import begin
from failover_iter._core.sources import read_factories
from failover_iter._drivers import aio, sync
from failover_iter._drivers.log import log
from failover_iter._options import Options
from failover_iter._source import AFactories, AOpened, Factories, Nested, Opened, Source
from failover_iter._types import Flavour, T
from failover_iter._validation import suggest_options
from failover_iter.events import Takeover
from failover_iter.typing import Decorator

if TYPE_CHECKING:
    from failover_iter._core.commands import Handover

__all__ = ["Policy"]


def new_stream(
    options: Options, factories: Iterable[Any], *, mark_takeovers: bool
) -> Generator[Any, Any, Any]:
    """Return a sync stream with these options."""
    return sync.drive(begin(options, factories, "sync", mark_takeovers=mark_takeovers, report=log))


def new_astream(
    options: Options, factories: Iterable[Any], *, mark_takeovers: bool
) -> AsyncGenerator[Any, Any]:
    """Return an async stream with these options."""
    return aio.drive(begin(options, factories, "async", mark_takeovers=mark_takeovers, report=log))


@suggest_options
@dataclass(frozen=True, kw_only=True)
class Policy(Options):
    """The options of a stream, as one value for many streams.

    A policy is frozen, and its options are checked when it is made. Threads, tasks and streams
    may share it. It can be pickled if its callables can. `dataclasses.replace` makes a changed
    copy. `failover_stream` explains the options, their defaults and the errors they cause.

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
        """Return a sync stream over the factories; see `failover_stream`."""
        return new_stream(self, factories, mark_takeovers=mark_takeovers)

    @overload
    def astream(
        self, factories: AFactories[T], *, mark_takeovers: Literal[False] = False
    ) -> AsyncGenerator[T, Any]: ...
    @overload
    def astream(
        self, factories: AFactories[T], *, mark_takeovers: bool
    ) -> AsyncGenerator[T | Takeover, Any]: ...
    def astream(self, factories: Iterable[Any], *, mark_takeovers: bool = False) -> Any:
        """Return an async stream over the factories; see `afailover_stream`."""
        return new_astream(self, factories, mark_takeovers=mark_takeovers)

    def failover(self, *fallbacks: Callable[..., Any]) -> Decorator:
        """Decorate a function that returns a stream with this policy; see `failover`."""
        from failover_iter._decorator import StreamDecorator  # only programs that decorate need it

        return StreamDecorator(self, fallbacks)

    @overload
    def source(self, factories: Factories[T], *, name: str | None = None) -> Source[Opened[T]]: ...
    @overload
    def source(
        self, factories: AFactories[T], *, name: str | None = None
    ) -> Source[AOpened[T]]: ...
    def source(self, factories: Iterable[Any], *, name: str | None = None) -> Source[Any]:
        """Return a source that is itself a failover over the factories, for nesting.

        The outer stream opens it as a stream with this policy, sync or async like itself. If the
        outer stream resumes, this policy must resume too (`mid_stream="resume"` or
        `Decide`): its factories receive the progress of the outer stream.

        Args:
            factories: as in `failover_stream`; read again at each opening.
            name: name in events, errors and the log. Default: the names of the factories in the
                list, joined by `|`.

        Raises:
            NoSources: `factories` is an empty list.
            TypeError: an entry of the list is not a factory, or `factories` is an iterator, which
                can be read only once.

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
