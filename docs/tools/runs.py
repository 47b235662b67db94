"""The runs that are drawn: one for each law, one for each mid-stream mode, and a few more."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from recorder import CONSUMER, Recorder

from failover_iter import Policy, Progress, afailover_stream, failover_stream

Run = Callable[[], Recorder]


class _Script:
    """Creates sources for one run, which record what they do in their lanes."""

    def __init__(self, *lanes: str) -> None:
        self.recorder = Recorder([*lanes])

    def source(
        self, lane: str, *items: Any, error: Exception | None = None, value: Any = None
    ) -> Callable[..., Iterator[Any]]:
        """A source that yields these items, resumes if asked to, and then fails or ends."""

        def opened(progress: Progress[Any] | None = None) -> Iterator[Any]:
            self.recorder.add(lane, "open")
            try:
                for item in items[progress.delivered if progress else 0 :]:
                    self.recorder.add(lane, "item", str(item))
                    yield item
                if error is not None:
                    self.recorder.add(lane, "error", type(error).__name__)
                    raise error
                self.recorder.add(lane, "end")
                return value
            finally:
                self.recorder.add(lane, "close")

        opened.__name__ = lane
        return opened

    def failing(self, lane: str, *items: Any) -> Callable[..., Iterator[Any]]:
        """A source that yields these items and then fails."""
        return self.source(lane, *items, error=ConnectionError(lane))

    def consume(self, stream: Iterator[Any], lane: str = CONSUMER) -> None:
        """Consume the stream, and record its items and how it ended."""
        while True:
            try:
                item = next(stream)
            except StopIteration as stop:
                self.recorder.add(lane, "end", "" if stop.value is None else str(stop.value))
                return
            except Exception as error:
                self.recorder.add(lane, "error", type(error).__name__)
                return
            self.recorder.add(lane, "item", str(item))


def _mode(mode: Any) -> Run:
    def run() -> Recorder:
        script = _Script("a", "b", CONSUMER)
        sources = [script.failing("a", 1, 2), script.source("b", 1, 2, 3)]
        options: dict[str, Any] = {"retry_on": ConnectionError, "mid_stream": mode}
        if mode != "resume":
            sources = [(lambda source=source: source()) for source in sources]
        script.consume(failover_stream(sources, **options))
        return _dropped(script.recorder)

    return run


def _dropped(recorder: Recorder) -> Recorder:
    """Turn items that a source yielded, but that were not delivered, into dropped items."""
    given = {(mark.at, mark.label) for mark in recorder.marks if mark.lane.startswith(CONSUMER)}
    later = [mark for mark in recorder.marks if mark.lane.startswith(CONSUMER)]
    for at, mark in enumerate(recorder.marks):
        reached = (mark.at, mark.label) in given or any(
            each.label == mark.label and each.at > mark.at and _waits(recorder, mark, each.at)
            for each in later
        )
        if mark.kind == "item" and not mark.lane.startswith(CONSUMER) and not reached:
            recorder.marks[at] = type(mark)(mark.at, mark.lane, "drop", mark.label)
    return recorder


def _waits(recorder: Recorder, held: Any, until: int) -> bool:
    """Whether no source yielded this item again, or failed, before the item was delivered."""
    between = [mark for mark in recorder.marks if held.at < mark.at < until]
    return not any(
        mark.kind == "error" or (mark.kind == "item" and mark.label == held.label)
        for mark in between
    )


def _identity() -> Recorder:
    script = _Script("a", CONSUMER)
    script.consume(failover_stream([script.source("a", 1, 2, 3)], retry_on=ConnectionError))
    return script.recorder


def _laziness() -> Recorder:
    script = _Script("a", "b", CONSUMER)
    sources = [script.failing("a", 1), script.source("b", 2, 3)]
    stream = failover_stream(sources, retry_on=ConnectionError)
    for _ in range(2):
        script.recorder.add(CONSUMER, "item", str(next(stream)))
    stream.close()
    return script.recorder


def _switching() -> Recorder:
    script = _Script("a", "b", "c", CONSUMER)
    sources = [script.failing("a"), script.failing("b"), script.source("c", 1, 2)]
    script.consume(failover_stream(sources, retry_on=ConnectionError))
    return script.recorder


def _transparency() -> Recorder:
    script = _Script("a", "b", CONSUMER)
    sources = [script.source("a", 1, error=KeyError("a bug")), script.source("b", 1, 2)]
    script.consume(failover_stream(sources, retry_on=ConnectionError))
    return script.recorder


def _blame() -> Recorder:
    script = _Script("a", "b", CONSUMER)
    sources = [script.source("a", 1, 2), script.source("b", 1, 2)]
    stream = failover_stream(sources, retry_on=ConnectionError)
    script.recorder.add(CONSUMER, "item", str(next(stream)))
    script.recorder.add(CONSUMER, "throw", "throws in")
    try:
        stream.throw(ConnectionError("mine"))
    except ConnectionError as error:
        script.recorder.add(CONSUMER, "error", type(error).__name__)
    return script.recorder


def _exhaustion() -> Recorder:
    script = _Script("a", "b", CONSUMER)
    last = TimeoutError("b")
    sources = [script.failing("a", 1), script.source("b", error=last)]
    script.consume(failover_stream(sources, retry_on=(ConnectionError, TimeoutError)))
    return script.recorder


def _associativity() -> Recorder:
    script = _Script("a", "b", "c", CONSUMER)
    policy = Policy(retry_on=ConnectionError, mid_stream="resume")
    a, b = script.failing("a", 1), script.failing("b", 1, 2)
    inner = policy.source([b, script.source("c", 1, 2, 3)], name="b, c")
    script.consume(policy.stream([a, inner]))
    return script.recorder


def _one_at_a_time() -> Recorder:
    script = _Script("a", "b", "c", CONSUMER)
    sources = [script.failing("a", 1), script.failing("b", 2), script.source("c", 3)]
    script.consume(failover_stream(sources, retry_on=ConnectionError))
    return script.recorder


def _closing() -> Recorder:
    script = _Script("a", CONSUMER)
    stream = failover_stream([script.source("a", 1, 2, 3)], retry_on=ConnectionError)
    script.recorder.add(CONSUMER, "item", str(next(stream)))
    script.recorder.add(CONSUMER, "close", "close()")
    stream.close()
    return script.recorder


def _twins() -> Recorder:
    sync, twin = (f"{CONSUMER} ({kind})" for kind in ("sync", "async"))
    script = _Script("a", "b", sync, "a, async", "b, async", twin)
    sources = [script.failing("a", 1), script.source("b", 1, 2)]
    script.consume(failover_stream(sources, retry_on=ConnectionError), sync)
    asyncio.run(_async_twin(script, twin))
    return _from_the_start(script.recorder, ["a, async", "b, async", twin])


async def _async_twin(script: _Script, lane: str) -> None:
    def twin(opened: Callable[[], Iterator[Any]]) -> Callable[[], AsyncIterator[Any]]:
        async def source() -> AsyncIterator[Any]:
            for item in opened():
                yield item

        return source

    sources = [
        twin(script.failing("a, async", 1)),
        twin(script.source("b, async", 1, 2)),
    ]
    async for item in afailover_stream(sources, retry_on=ConnectionError):
        script.recorder.add(lane, "item", str(item))
    script.recorder.add(lane, "end")


def _from_the_start(recorder: Recorder, lanes: list[str]) -> Recorder:
    """Draw the second of two runs below the first, starting at the same moment."""
    begin = min(mark.at for mark in recorder.marks if mark.lane in lanes)
    recorder.marks = [
        type(mark)(mark.at - begin, mark.lane, mark.kind, mark.label)
        if mark.lane in lanes
        else mark
        for mark in recorder.marks
    ]
    return recorder


def _no_shared_state() -> Recorder:
    lanes = [f"{lane}{of}" for of in (" of one", " of two") for lane in ("a", "b", CONSUMER)]
    script = _Script(*lanes)
    policy = Policy(retry_on=ConnectionError, mid_stream="skip")
    streams = {}
    for of in (" of one", " of two"):
        sources = [script.failing(f"a{of}", 1), script.source(f"b{of}", 1, 2)]
        streams[of] = policy.stream(sources)
    for of in (" of one", " of two", " of one", " of two"):
        script.recorder.add(f"{CONSUMER}{of}", "item", str(next(streams[of])))
    for stream in streams.values():
        stream.close()
    return _dropped(script.recorder)


class _Item:
    """An item that supports weak references, so that the run can tell when it is freed."""

    def __init__(self, number: int) -> None:
        self.number = number


def _constant_memory() -> Recorder:
    recorder = Recorder(["a", CONSUMER, "still in memory"])
    alive: weakref.WeakSet[_Item] = weakref.WeakSet()

    def a() -> Iterator[_Item]:
        recorder.add("a", "open")
        for number in range(1, 6):
            item = _Item(number)
            alive.add(item)
            recorder.add("a", "item", str(number))
            yield item
            del item
        recorder.add("a", "close")

    for item in failover_stream([a], retry_on=ConnectionError, mid_stream="skip"):
        recorder.add(CONSUMER, "item", str(item.number))
        del item
        gc.collect()
        kept = len(alive)
        recorder.add("still in memory", "drop", str(kept))
    return recorder


def _option(title: str, *sources: tuple[str, tuple[Any, ...]], **options: Any) -> tuple[str, Run]:
    def run() -> Recorder:
        script = _Script(*(name for name, _ in sources), CONSUMER)
        factories = [
            script.failing(name, *items[:-1])
            if items and items[-1] is None
            else script.source(name, *items)
            for name, items in sources
        ]
        script.consume(failover_stream(factories, retry_on=ConnectionError, **options))
        return _dropped(script.recorder)

    return title, run


RUNS: dict[str, tuple[str, Run]] = {
    "mode-restart": ('mid_stream="restart": b starts over', _mode("restart")),
    "mode-raise": ('mid_stream="raise": the error is raised, b is not opened', _mode("raise")),
    "mode-skip": ('mid_stream="skip": items already delivered are dropped', _mode("skip")),
    "mode-resume": ('mid_stream="resume": b yields only the rest', _mode("resume")),
    "commit-when": _option(
        "commit_when=2: earlier items are held, and discarded if the attempt fails",
        ("a", ("?", None)),
        ("b", (1, 2, 3)),
        commit_when=2,
    ),
    "complete-when": _option(
        'complete_when=lambda last: last == "."',
        ("a", (1, 2)),
        ("b", (1, 2, 3, ".")),
        mid_stream="skip",
        complete_when=lambda last: last == ".",
    ),
    "allow-empty": _option(
        "allow_empty=False: a source that yields nothing has failed",
        ("a", ()),
        ("b", (1, 2)),
        allow_empty=False,
    ),
    "law-1": ("Identity: a stream of one source behaves like the source", _identity),
    "law-2": ("Laziness: b is called only after a has failed and was closed", _laziness),
    "law-3": ("Switching: after each failure the next source is opened", _switching),
    "law-4": ("Transparency: an error that does not match retry_on is raised", _transparency),
    "law-5": ("Blame: an error that you throw in is raised to you, without a switch", _blame),
    "law-6": ("Exhaustion: the last error is raised", _exhaustion),
    "law-7": ("Associativity: [a, [b, c]] delivers the same as [a, b, c]", _associativity),
    "law-8": ("One at a time: the thick lines never overlap", _one_at_a_time),
    "law-9": ("Closing: you close the stream, the stream closes the source", _closing),
    "law-10": ("Twins: the same run, sync and async", _twins),
    "law-11": ("No shared state: two streams of one policy, in turn", _no_shared_state),
    "law-12": ("Constant memory: the number of items still alive", _constant_memory),
}
