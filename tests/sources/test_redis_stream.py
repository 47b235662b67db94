"""`redis_stream` on a model of a stream: where it starts, what was trimmed, what it refuses."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter import DivergedStream, Progress, afailover_stream, failover_stream
from failover_iter.sources import _redis_stream, redis_stream
from sources.redis_model import LAST, READS, AClient, Client, Cut, Model, is_last, read
from support.runners import quiet


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_only_new_entries(read: Any) -> None:
    """`$` is the end of the stream when it was first asked, also if the connection breaks then."""
    script = [("add", 3), ("break", 0), ("add", 2), ("break", 0), ("add", 1)]
    model = Model(script)
    read(model, start="$")
    assert model.delivered == [4, 5, 6, 7]
    early = Model([("break", 0), ("add", 0), ("break", 0), ("add", 2)])
    read(early, start="$")  # the stream does not exist yet
    assert early.delivered == [1, 2, 3]


def test_a_break_after_the_last_entry() -> None:
    """Nothing is read any more once the entry of `until` was delivered."""
    reader: Any = redis_stream(Client(Model([])), "s", until=is_last).factory
    done: Any = Progress(delivered=1, last=(b"1-0", {"n": LAST}), cursor="1-0")
    assert [*reader(done)] == []
    areader: Any = redis_stream(AClient(Model([])), "s", until=is_last).factory

    async def main() -> list[Any]:
        return [entry async for entry in areader(done)]

    assert asyncio.run(main()) == []


@pytest.mark.parametrize("flavour", READS)
@pytest.mark.parametrize("start", ["0", "$"])
@pytest.mark.parametrize("before", [{}, {"exists": True, "added": 2}])
def test_trimmed_while_the_first_entry_is_awaited(
    flavour: str, start: str, before: dict[str, Any]
) -> None:
    """Entries trimmed after the stream was found empty are lost; earlier ones are not."""
    model = Model([("wait", 0), ("add", 5), ("trim", 2)], **before)
    result = READS[flavour](model, start=start)
    assert (model.script, result.items) == ([], [])
    assert "unread entries were trimmed (3)" in str(result.error)


@pytest.mark.parametrize("flavour", READS)
@pytest.mark.parametrize("start", ["0", "$"])
def test_deleted_while_the_first_entry_is_awaited(flavour: str, start: str) -> None:
    """An entry that somebody deletes is left out."""
    model = Model([("wait", 0), ("add", 3), ("delete", 1)], exists=True)
    result = READS[flavour](model, start=start)
    assert (model.delivered, result.error) == ([2, 3, 4], None)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"exists": False}, "it no longer exists"),
        ({"added": 1, "entries": {}}, "its last id is 1-0, so it has lost entries"),
        ({"added": 9, "entries": {}}, "unread entries were trimmed (6)"),
        ({"added": 9, "entries": {}, "version": 6}, "perhaps unread ones as well"),
    ],
)
def test_a_stream_that_has_lost_entries(change: dict[str, Any], why: str) -> None:
    """The error says what happened, and how to read what is left."""
    model = Model([("add", 3)])
    stream = failover_stream([redis_stream(Client(model), "s")], retry_on=Cut)
    with closing(stream), quiet():
        for _ in range(3):
            next(stream)
        model.script = [("add", 0)] * 9
        for name, value in change.items():
            setattr(model, name, value)
        with pytest.raises(DivergedStream) as caught:
            next(stream)
    assert str(caught.value).startswith("s: cannot continue after 3-0: ")
    assert why in str(caught.value)
    assert str(caught.value).endswith("start='0' reads what is left")


@pytest.mark.parametrize("version", [6, 7])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("start", ["3", "5", "500"])
def test_a_time_to_start_at(read: Any, version: int, start: str) -> None:
    """A time need not be that of an entry: it may be before or after all of them."""
    model = Model([("break", 0), ("add", 4), ("trim", 2)], version)
    if start == "500":
        model.script += [("add", 500), ("trim", 1), ("break", 0)]
    assert read(model, start=start).error is None
    assert model.delivered[0] == {"3": 4, "5": 6, "500": 501}[start]


def test_a_time_before_there_is_a_stream() -> None:
    """It is waited for."""
    model = Model([("add", 0)] * 3)
    assert read(model, start="0").error is None
    later = Model([("break", 0), ("add", 0), ("add", 0), ("add", 7)])
    assert read(later, start="5").error is None
    assert later.delivered == [6, 7, 8]


@pytest.mark.parametrize(("version", "delivered"), [(7, 5), (7, 4), (6, 5)])
def test_a_process_that_deletes_what_it_has_handled(version: int, delivered: int) -> None:
    """The next process goes on, if all that is gone was delivered to the one before."""
    model = Model([("add", 8)], version)
    model.happen()
    for number in range(1, 6):
        del model.entries[number]
    reader: Any = redis_stream(Client(model), "s", until=lambda entry: entry[1]["n"] == 8).factory
    rest = reader(Progress(cursor="5-0", delivered=delivered))
    if (version, delivered) == (7, 5):
        assert [number for number, _ in rest] == [b"6-0", b"7-0", b"8-0"]
    else:
        with pytest.raises(DivergedStream, match="that entry has gone, and perhaps unread ones"):
            next(rest)


@pytest.mark.parametrize("answers", [[ValueError("x"), []], [{}, ValueError("x")]])
def test_other_errors_of_redis_pass(answers: list[Any]) -> None:
    """A key of another type does not count as a failure of the connection."""

    class Wrong(Model):
        def execute(self, after: str, count: int) -> list[Any]:
            return answers

    stream = failover_stream([redis_stream(Client(Wrong([])), "s")], retry_on=Cut)
    with pytest.raises(ValueError, match="x"):
        next(stream)


def test_async_streams_close() -> None:
    """A consumer may leave an endless stream."""

    async def main() -> None:
        source = redis_stream(AClient(Model([("add", 2)])), b"s".decode())
        async with aclosing(afailover_stream([source], retry_on=Cut)) as stream:
            assert (await anext(stream))[0] == b"1-0"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"client": "redis://"}, TypeError, "must be a redis.Redis or redis.asyncio.Redis, got s"),
        ({"key": 1}, TypeError, "must be a str or bytes, got int"),
        ({"start": b"0"}, TypeError, "must be a str, got bytes"),
        ({"start": "now"}, ValueError, "must be an id, '0' or '$', got 'now'"),
        ({"until": 1}, TypeError, "must be a plain function entry -> bool, or None, got int"),
    ],
)
def test_wrong_use(change: dict[str, Any], error: type[Exception], message: str) -> None:
    """Wrong arguments are refused at the call."""
    given = {"client": Client(Model([])), "key": "s", **change}
    with pytest.raises(error) as caught:
        redis_stream(**given)
    assert str(caught.value).startswith("redis_stream(")
    assert message in str(caught.value)


def test_how_long_a_read_blocks() -> None:
    """Half as long as the client waits for an answer, and at most a second."""
    for timeout, block in ((None, 1000), (60, 1000), (0.5, 250), (0.001, 1)):
        pool = SimpleNamespace(connection_kwargs={"socket_timeout": timeout})
        assert _redis_stream._block(SimpleNamespace(connection_pool=pool)) == block
    assert _redis_stream._block(object()) == 1000  # a cluster


@pytest.mark.parametrize("version", [6, 7])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_many_entries(read: Any, version: int) -> None:
    """They are read in batches; an old entry that exists shows that nothing was trimmed."""
    model = Model([("add", 250), ("delete", 101)], version)
    assert read(model).error is None
    assert model.delivered == [*range(1, 252)]


def test_what_was_read_may_be_trimmed() -> None:
    """Trimming up to the last delivered entry loses nothing."""
    model = Model([("add", 3), ("trim", 0), ("add", 2), ("trim", 2)])
    stream = failover_stream([redis_stream(Client(model), "s")], retry_on=Cut)
    with closing(stream):
        assert [next(stream)[0] for _ in range(5)] == [f"{n}-0".encode() for n in range(1, 6)]
    batches = Model([("add", 150), ("trim", 49), ("add", 120)])
    assert read(batches).error is None
    assert batches.delivered == [*range(1, 272)]
