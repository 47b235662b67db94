"""`judged`: a source whose finished answers may be rejected."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from failover_iter import Source
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._collect import Message, collect
from failover_iter.llm._errors import ProviderError
from failover_iter.llm._factory import group_of
from failover_iter.llm._reading import closing_async, closing_sync

#: Whether a message is accepted: False or a ValueError means that it is not.
Judge: TypeAlias = Callable[[Message], object]


def judged(source: Any, judge: Judge) -> Any:
    """Return a source that raises instead of ending an answer that is not accepted."""
    group = group_of(source)
    if group is not None:
        return replace(source, factory=group.changed(partial(judged, judge=judge)))
    factory: Any = source.factory if isinstance(source, Source) else source

    def open_judged(*progress: Any) -> _Judged:
        return _Judged(factory(*progress), judge)

    if isinstance(source, Source):
        return replace(source, factory=open_judged)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    return Source(open_judged, name=getattr(factory, "__name__", None))


@dataclass(frozen=True)
class _Judged(Iterable[Chunk], AsyncIterable[Chunk]):
    """An answer that is judged before its last chunk is yielded."""

    opened: Any
    judge: Judge

    def __iter__(self) -> Iterator[Chunk]:
        chunks: list[Chunk] = []
        with closing_sync(self.opened) as opened:
            for chunk in opened:
                chunks.append(chunk)
                self.check(chunks)
                yield chunk

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        chunks: list[Chunk] = []
        opened = self.opened if hasattr(self.opened, "__aiter__") else await self.opened
        async with closing_async(opened):
            async for chunk in opened:
                chunks.append(chunk)
                self.check(chunks)
                yield chunk

    def check(self, chunks: list[Chunk]) -> None:
        """Raise if these chunks are a finished answer that is not accepted."""
        last = chunks[-1]
        if last.finish_reason is None:
            return
        reason: ValueError | None = None
        try:
            accepted = self.judge(collect(chunks)) is not False
        except ValueError as error:
            accepted, reason = False, error
        if not accepted:
            raise ProviderError(
                "the answer was not accepted",
                provider=last.provider,
                model=last.model,
                source=last.source,
                code="not_accepted",
                raw=last.raw,
            ) from reason
