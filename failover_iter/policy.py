"""`Policy`: the options of a stream as one frozen value, and the streams it makes."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
)
from dataclasses import dataclass
from typing import Any, Literal, overload

from failover_iter._core.run import new_run
from failover_iter._core.sources import Group
from failover_iter._drivers import aio, sync
from failover_iter._options import Options
from failover_iter._percentile import After, read_after
from failover_iter._source import AFactories, Factories, Source
from failover_iter._types import AnyDelay, T
from failover_iter._validation import shown, suggest_options
from failover_iter.events import Takeover
from failover_iter.typing import Decorator

__all__ = ["Policy"]


def new_stream(
    options: Options, factories: Iterable[Any], *, mark_takeovers: bool
) -> Generator[Any, Any, Any]:
    """Return a sync stream with these options."""
    return sync.drive(new_run(options, factories, "sync", mark_takeovers=mark_takeovers))


def new_astream(
    options: Options, factories: Iterable[Any], *, mark_takeovers: bool
) -> AsyncGenerator[Any, Any]:
    """Return an async stream with these options."""
    return aio.drive(new_run(options, factories, "async", mark_takeovers=mark_takeovers))


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
    def source(
        self, factories: Factories[T], *, name: str | None = None
    ) -> Source[Iterable[T]]: ...
    @overload
    def source(
        self, factories: AFactories[T], *, name: str | None = None
    ) -> Source[AsyncIterable[T] | Awaitable[AsyncIterable[T]]]: ...
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
        return _grouped(self, factories, name)

    @overload
    def hedge(
        self, factories: Factories[T], *, after: After, name: str | None = None
    ) -> Source[Iterable[T]]: ...
    @overload
    def hedge(
        self, factories: AFactories[T], *, after: After, name: str | None = None
    ) -> Source[AsyncIterable[T] | Awaitable[AsyncIterable[T]]]: ...
    def hedge(
        self, factories: Iterable[Any], *, after: After, name: str | None = None
    ) -> Source[Any]:
        """Return a source that opens the next of the factories when the one before is slow.

        It is a source like `Policy.source`, which differs until the commit. If the first source has
        not committed after `after`, the next one is opened beside it, and so on. The first to
        commit wins. The others are closed, and nothing of them is delivered. A source that
        fails meanwhile, as `retry_on` says, is replaced at once. Any other error ends the race,
        and so does the failure of the last source.

        `attempts`, `commit_when`, `allow_empty`, the timeouts and the other options of the policy
        hold for each source. So an error message or an empty answer never wins, if the options
        say what they are. If the winner fails after its commit, the hedge has failed: the outer
        stream goes on with its next source, or tries the hedge again (`Source(attempts=...)`). What
        the winner itself sets (`retry_on`, `switch_on`, `reset_on_progress`, `wait`) counts then,
        unless the hedge sets it.

        Each source beside another one spends a token of the policy's `budget`; if that is empty,
        none is opened. To `health`, a source that was slower than another has neither failed nor
        succeeded.

        In an async stream, the first source is pulled in the task of the consumer, and each
        other one in a task that it keeps if it wins. The others are closed before the first item
        is delivered. In a blocking stream each source lives in a thread. One that is blocked when
        another wins is aborted (`Source(abort=...)`) and left to its thread, which closes it when
        the blocked call returns.

        Args:
            factories: as in `failover_stream`; read again at each opening.
            after: seconds or a timedelta; or a `Percentile`, which learns it. Infinity: no source
                is opened because another one is slow.
            name: name in events, errors and the log. Default: the names of the factories in the
                list, joined by `|`.

        Raises:
            NoSources: `factories` is an empty list.
            TypeError: an entry of the list is not a factory, `factories` is an iterator, which can
                be read only once, or `after` has the wrong type.
            ValueError: `after` is negative, or an entry is or contains another hedge.

        Example:
            >>> import time
            >>> from failover_iter import Policy, failover_stream
            >>> def slow():
            ...     time.sleep(0.2)
            ...     yield "slow"
            >>> def fast():
            ...     yield "fast"
            >>> race = Policy(retry_on=ConnectionError).hedge([slow, fast], after=0.01)
            >>> list(failover_stream([race], retry_on=ConnectionError))
            ['fast']

        Source: Dean and Barroso, "The Tail at Scale" (2013); gRPC's hedging policy.
        """
        return _grouped(self, factories, name, read_after(after))


def _grouped(
    policy: Policy, factories: Iterable[Any], name: str | None, delay: AnyDelay | None = None
) -> Source[Any]:
    if hasattr(factories, "__next__"):
        kind = "source" if delay is None else "hedge"
        raise TypeError(
            f"factories of a Policy.{kind} must be a list, or an iterable that can be read "
            f"more than once, got the iterator {shown(factories)}"
        )
    if policy.checkpoint is not None:
        kind = "source" if delay is None else "hedge"
        raise ValueError(
            f"checkpoint is for a whole stream, not for a Policy.{kind} in it: give it to the "
            "policy of the outer stream"
        )
    group = Group(policy, factories, delay)
    if name is None:
        name = "|".join(source.name for source in group.sources) or "failover"
    return Source(group, name=name)
