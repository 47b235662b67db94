"""`remote` and `aremote` on a fake of Ray: what they send, and what they refuse."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import threading
import weakref
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from cluster.fake_ray import FakeRay, RayError, RayTaskError, WorkerCrashedError
from cluster.faked import FLAVOURS, MAKERS, deliver, ray, ten
from failover_iter import Progress, Source, afailover_stream, failover_stream, in_thread
from failover_iter.ray import _worker, aremote, remote

__all__ = ["ray"]  # a fixture


@FLAVOURS
def test_a_worker_that_dies(flavour: str, ray: FakeRay) -> None:
    """The stream resumes after the last delivered item, in a new task."""

    def source(progress: Progress[int]) -> Iterator[int]:
        for number in range(progress.delivered, 10):
            if number == 4 and progress.attempt == 1:
                ray.fault = WorkerCrashedError
            yield number

    assert deliver(flavour, MAKERS[flavour](source, batch=3), attempts=2) == list(range(10))


@FLAVOURS
def test_arguments_and_options(flavour: str, ray: FakeRay) -> None:
    """The factory takes what the function takes; Ray gets its options; one name for both."""

    def shard(name: str, count: int) -> Iterator[str]:
        yield from [name] * count

    factory = MAKERS[flavour](shard, ahead=5, num_cpus=2)
    bound = partial(factory, "a", count=3)
    assert deliver(flavour, bound, mid_stream="skip") == ["a"] * 3
    assert ray.options[-1] == {"num_cpus": 2, "_generator_backpressure_num_objects": 5}
    assert factory.__name__ == "shard"
    assert MAKERS[flavour](partial(shard, "a")).__name__ == "shard"
    assert repr(factory) == ("a" * (flavour == "async")) + "remote(shard)"
    assert pickle.loads(pickle.dumps(MAKERS[flavour](ten))).__name__ == "ten"


def test_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast source fills its batches; after a pause, an item goes at once; the rest is last."""
    now = [0.0]
    monkeypatch.setattr(_worker, "monotonic", lambda: now[0])

    def source(pauses: list[float]) -> Iterator[int]:
        for number, pause in enumerate(pauses):
            now[0] += pause
            yield number

    def batches(*pauses: float) -> list[list[int]]:
        where, *batches = _worker.run(partial(source, list(pauses)), 3)
        assert (where.items, where.worker is None) == ([], False)
        return [batch.items for batch in batches]

    assert batches(*[0.0] * 8) == [[0], [1, 2, 3], [4, 5, 6], [7]]
    assert batches(1, 1, 1) == [[0], [1], [2], []]
    assert batches(0, 0, 1, 0) == [[0], [1, 2], [3]]
    assert batches() == [[]]


@FLAVOURS
def test_what_the_source_learns(flavour: str, ray: FakeRay) -> None:
    """The memo goes to the worker and returns; the failures, and what cannot be sent, stay."""
    seen: list[Any] = []

    def source(progress: Progress[int]) -> Iterator[int]:
        seen.append((dict(progress.memo), progress.failures, progress.attempt))
        memo = progress.memo
        memo["size"] = memo.get("size", 0) + 1
        memo["lock"] = threading.Lock()  # like an open connection, it cannot be pickled
        yield from range(progress.delivered, progress.delivered + 2)
        if progress.attempt < 3:
            raise ConnectionError("reset")

    deliver(flavour, MAKERS[flavour](source), attempts=3, retry_on=ConnectionError)
    assert seen == [({}, (), 1), ({"size": 1}, (), 2), ({"size": 2}, (), 3)]


class Odd(ConnectionError):
    """An error that pickles, but does not unpickle."""

    def __init__(self, status: int, *, response: object) -> None:
        super().__init__(f"status {status}", response)
        self.status = status
        self.response = response


@FLAVOURS
def test_an_error_keeps_its_class(flavour: str) -> None:
    """It comes after the items before it, with its attributes and the traceback of the worker."""

    def source(_: Progress[int]) -> Iterator[int]:
        yield 1
        with Path(os.devnull).open() as file:
            raise Odd(503, response=file)

    with pytest.raises(Odd) as caught:
        deliver(flavour, MAKERS[flavour](source))
    error = caught.value
    assert error.status == 503
    assert (error.args[0], error.args[1][:17]) == ("status 503", "<_io.TextIOWrappe")
    assert not hasattr(error, "response")
    (note,) = error.__notes__
    assert note.startswith("on a Ray worker: Traceback")
    assert "raise Odd(503, response=file)" in note
    assert "_drivers" not in note

    def plain() -> Iterator[int]:
        raise KeyError("naem")
        yield

    with pytest.raises(KeyError, match="naem"):
        deliver(flavour, MAKERS[flavour](plain), mid_stream="skip")


@FLAVOURS
def test_an_error_around_the_source(flavour: str, ray: FakeRay) -> None:
    """What Ray wraps, such as an item that does not pickle, is raised as itself: a bug."""
    ray.fault = lambda: RayTaskError(TypeError("cannot pickle it"))
    with pytest.raises(TypeError, match="cannot pickle it") as caught:
        deliver(flavour, MAKERS[flavour](ten), attempts=9)
    assert caught.value.__notes__ == [
        "in a Ray task: ray::run() raised TypeError('cannot pickle it')"
    ]


def test_errors_leave_no_cycle(ray: FakeRay) -> None:
    """No error that is raised here is kept alive by its own traceback."""

    def fails(_: Progress[int]) -> Iterator[int]:
        raise KeyError("naem")
        yield

    ray.fault = lambda: RayTaskError(TypeError("cannot pickle it"))
    gc.collect()
    gc.disable()
    try:
        for expected in (TypeError, KeyError):
            with pytest.raises(expected):
                deliver("sync", remote(fails))
        errors = [each for each in gc.get_objects() if isinstance(each, TypeError | KeyError)]
        assert [each for each in errors if each.args in (("cannot pickle it",), ("naem",))] == []
    finally:
        gc.enable()


@FLAVOURS
def test_a_dead_worker_leaves_no_cycle(flavour: str, ray: FakeRay) -> None:
    """A task and its batches are let go at once, for they fill the store of the cluster."""
    errors: list[RayError] = []

    def is_failure(error: Exception) -> bool:
        assert isinstance(error, RayError)
        errors.append(error)
        return True

    ray.fault = WorkerCrashedError
    gc.collect()
    gc.disable()
    try:
        source = MAKERS[flavour](ten)
        assert deliver(flavour, source, attempts=2, retry_on=is_failure) == list(range(10))
        assert len(errors) == 1  # it is kept alive: what it refers to must go all the same
        assert not ray.tasks
        error = weakref.ref(errors.pop())
        assert error() is None
    finally:
        gc.enable()


@FLAVOURS
def test_what_does_not_cross_the_border(flavour: str) -> None:
    """The return value is lost, `send` is refused, and `throw` closes the source."""
    heard: list[Any] = []

    def source(_: Progress[int]) -> Generator[int, Any, str]:
        try:
            heard.append((yield 1))
            yield 2
        except KeyError:
            heard.append("thrown")
        finally:
            heard.append("closed")
        return "value"

    async def play(move: str, *args: Any) -> Any:
        """Return the result of a move after the first item."""
        make: Any = failover_stream if flavour == "sync" else afailover_stream
        stream = make([MAKERS[flavour](source, batch=1)], retry_on=RayError, mid_stream="resume")
        if flavour == "async":
            assert await anext(stream) == 1
            return await getattr(stream, f"a{move}")(*args)
        assert next(stream) == 1
        return getattr(stream, move)(*args)

    with pytest.raises(AttributeError, match=r"^a source on a Ray worker has no send\(\)$"):
        asyncio.run(play("send", 7))
    assert heard == ["closed"]
    with pytest.raises(KeyError, match="naem"):
        asyncio.run(play("throw", KeyError("naem")))
    assert heard == ["closed"] * 2
    assert asyncio.run(play("send", None)) == 2
    if flavour == "sync":
        stream = failover_stream([remote(source)], retry_on=RayError, mid_stream="resume")
        assert [next(stream), next(stream)] == [1, 2]
        with pytest.raises(StopIteration) as stop:
            next(stream)
        assert stop.value.value is None


@pytest.mark.parametrize("maker", [remote, aremote])
def test_wrong_arguments(maker: Any) -> None:
    """They are refused at once, and the message names the argument and what is allowed."""

    async def async_source() -> Any:
        yield 1

    name = maker.__name__
    for wrong, message in [
        (3, "got 3"),
        (Source(ten), rf"use Source\({name}\(function\), ...\)"),
        (async_source, "got an async function"),
        (partial(async_source), "got an async function"),
    ]:
        with pytest.raises(TypeError, match=message):
            maker(wrong)
    for option in ("batch", "ahead"):
        with pytest.raises(
            ValueError, match=rf"{name}\({option}=...\) must be .* at least 1, got 0"
        ):
            maker(ten, **{option: 0})
        for value in (1.5, True):
            with pytest.raises(TypeError, match=rf"{name}\({option}=...\) must be an int"):
                maker(ten, **{option: value})
    with pytest.raises(ValueError, match=rf"{name}\(max_retries=...\) cannot be set"):
        maker(ten, max_retries=3)
    with pytest.raises(ValueError, match="Invalid option keyword"):
        maker(ten, num_cpu=1)


def test_under_trio() -> None:
    """`aremote` says what to use instead, and that works."""

    async def main(factory: Any) -> list[int]:
        stream = afailover_stream([factory], retry_on=OSError, mid_stream="resume")
        return [item async for item in stream]

    with pytest.raises(RuntimeError, match=r"under trio, use in_thread\(remote\(...\)\)"):
        trio.run(main, aremote(ten))
    assert trio.run(main, in_thread(remote(ten))) == list(range(10))
