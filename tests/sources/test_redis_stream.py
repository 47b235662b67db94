"""`redis_stream` on a model of a stream: never an entry twice, never one lost without an error."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from failover_iter import DivergedStream, Progress, afailover_stream, failover_stream
from failover_iter.sources import _redis_stream, redis_stream
from failover_iter.sources._redis_stream import _Reader
from failover_iter.sources._stream_position import Position
from sources.readers import Result, aread_all, read_all
from support.runners import quiet

LAST = "last"


class Cut(ConnectionError):
    """The connection broke."""


class NoSuchKey(Exception):
    """The answer of a server to XINFO STREAM for a key that does not exist."""


@dataclass
class Model:
    """A server with one stream, on which something happens before each command."""

    script: list[tuple[str, int]]
    version: int = 7
    entries: dict[int, Any] = field(default_factory=dict)
    added: int = 0
    exists: bool = False
    lost: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    delivered: list[int] = field(default_factory=list)

    def happen(self) -> None:
        """Carry out the next step of the script, and break the connection if it says so."""
        kind, number = self.script.pop(0) if self.script else ("end", 0)
        if kind in {"add", "end"}:
            for _ in range(number if kind == "add" else self.added < 1000):
                self.added += 1
                self.exists = True
                text = LAST if kind == "end" else self.added
                self.entries[self.added] = {"n": text}
        elif kind == "trim":
            for each in [*self.entries][: max(0, len(self.entries) - number)]:
                del self.entries[each]
                self.lost.add(each)
        elif kind == "delete" and number in self.entries:
            del self.entries[number]
            self.deleted.add(number)
        elif kind == "break":
            raise Cut("reset")

    def execute(self, after: str, count: int) -> list[Any]:
        self.happen()
        if not self.exists:
            return [NoSuchKey("no such key"), []]
        first = next(iter(self.entries), None)
        info = {
            "length": len(self.entries),
            "last-generated-id": f"{self.added}-0".encode(),
            "first-entry": None if first is None else (f"{first}-0".encode(), {}),
        }
        if self.version >= 7:
            info["entries-added"] = self.added
            info["max-deleted-entry-id"] = f"{max(self.deleted, default=0)}-0".encode()
        found = [
            (f"{each}-0".encode(), fields)
            for each, fields in self.entries.items()
            if each >= int(after.partition("-")[0])
        ]
        return [info, found[:count]]


class Client:
    """A client of the model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.connection_pool = SimpleNamespace(connection_kwargs={"socket_timeout": 0.5})

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to do."""

    def pipeline(self, *, transaction: bool) -> Any:
        assert transaction
        return self

    def xinfo_stream(self, key: str) -> None:
        assert key == "s"

    def xrange(self, key: str, *, min: str, count: int) -> None:  # noqa: A002 (its name)
        self.asked = min, count

    def execute(self, *, raise_on_error: bool) -> Any:
        assert not raise_on_error
        return self.model.execute(*self.asked)

    def xread(self, streams: Any, *, count: int, block: int) -> Any:
        assert block == 250
        self.model.happen()


class AClient(Client):
    """The same, async."""

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to do."""

    async def execute(self, *, raise_on_error: bool) -> Any:  # type: ignore[override]
        return super().execute(raise_on_error=raise_on_error)

    async def xread(self, streams: Any, *, count: int, block: int) -> Any:  # type: ignore[override]
        return super().xread(streams, count=count, block=block)


def is_last(entry: Any) -> bool:
    return bool(entry[1]["n"] == LAST)


def read(model: Model, **options: Any) -> Result:
    source = redis_stream(Client(model), "s", until=is_last, start=options.pop("start", "0"))
    stream = failover_stream([source], retry_on=Cut, attempts=20, **options)
    with quiet():
        return read_all(map(counted(model), stream), stream)


def aread(model: Model, **options: Any) -> Result:
    source = redis_stream(AClient(model), "s", until=is_last, start=options.pop("start", "0"))

    async def main() -> Result:
        stream = afailover_stream([source], retry_on=Cut, attempts=20, **options)
        count = counted(model)

        async def items() -> Any:
            async for entry in stream:
                yield count(entry)

        with quiet():
            return await aread_all(items(), stream)

    return asyncio.run(main())


def counted(model: Model) -> Any:
    """A function that remembers an entry when it is delivered."""

    def count(entry: Any) -> Any:
        number = int(entry[0].partition(b"-")[0])
        model.delivered.append(number)
        return entry

    return count


READS: dict[str, Any] = {"sync": read, "async": aread}
STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 6)),
    st.tuples(st.just("add"), st.integers(1, 3)),
    st.tuples(st.just("trim"), st.integers(0, 5)),
    st.tuples(st.just("delete"), st.integers(1, 12)),
    st.tuples(st.just("break"), st.just(0)),
)
CASES = st.fixed_dictionaries(
    {
        "script": st.lists(STEPS, max_size=14),
        "version": st.sampled_from([6, 7, 7]),
        "commit_when": st.integers(1, 3),
        "count": st.integers(1, 4),
    }
)


def check(case: dict[str, Any], flavour: str) -> None:
    """Each entry once; an error exactly if one was trimmed before it was read."""
    model = Model([*case["script"]], case["version"])
    can_delete = any(kind == "delete" for kind, _ in model.script)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_redis_stream, "COUNT", case["count"])
        result = READS[flavour](model, commit_when=case["commit_when"])
    assert model.delivered == sorted({*model.delivered}), "an entry twice, or out of order"
    first = model.delivered[0] if model.delivered else 0
    lost = {each for each in model.lost - {*model.delivered} if each > first}
    if result.error is None:
        assert is_last(result.items[-1])
        assert not lost, "an entry lost"
        unread = {*range(first, model.delivered[-1] + 1)} - {*model.delivered}
        assert unread <= model.deleted, "an entry lost"
        return
    assert isinstance(result.error, DivergedStream)
    if model.version >= 7 and not can_delete and case["commit_when"] == 1:
        assert lost, "refused without a reason"


@pytest.mark.parametrize("flavour", READS)
@given(case=CASES)
def test_never_an_entry_twice_never_one_lost(flavour: str, case: dict[str, Any]) -> None:
    """Whatever is added, trimmed, deleted and broken."""
    check(case, flavour)


def ignores_trimming(self: Position, *_: Any, **__: Any) -> None:
    """Takes what XREAD returns."""


def counts_nothing(self: Position, info: Any, new: Any, **options: Any) -> None:
    """Refuses a trimmed position, also where nothing was lost."""
    self._memo.clear()
    CHECK(self, info, new, **options)


def forgets_to_advance(self: Position, new: Any) -> None:
    """Reads the same entries again."""


def advances_one(self: Position, new: Any) -> None:
    """Goes on behind the first of the entries."""
    ADVANCE(self, new[:1])


def always_finds_the_last(self: Position, info: Any, entries: Any) -> Any:
    """Drops the first entry, as if it were always the one that was delivered."""
    return TAKE(self, info, entries)[1:]


def counts_what_it_yields(self: _Reader, progress: Any) -> Any:
    """Remembers where it is by what it has yielded."""
    at = progress.memo.get("at", progress.cursor)
    for item in ENTRIES(self, replace(progress, cursor=at)):
        if isinstance(item, tuple):
            progress.memo["at"] = item[0].decode()
        yield item


CHECK, ADVANCE, TAKE, ENTRIES = Position._check, Position.advance, Position.take, _Reader.entries
MUTANTS: list[Any] = [
    (Position, "_check", ignores_trimming),
    (Position, "_check", counts_nothing),
    (Position, "advance", forgets_to_advance),
    (Position, "advance", advances_one),
    (Position, "take", always_finds_the_last),
    (_Reader, "entries", counts_what_it_yields),
]


@pytest.mark.parametrize(
    ("owner", "method", "mutant"), MUTANTS, ids=[each[2].__name__ for each in MUTANTS]
)
def test_the_law_kills_the_mutant(
    owner: type, method: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wrong reader breaks it."""
    monkeypatch.setattr(owner, method, mutant)

    @settings(max_examples=2000, phases=[Phase.generate], database=None, derandomize=True)
    @given(case=CASES)
    def law(case: dict[str, Any]) -> None:
        check(case, "sync")

    with pytest.raises((AssertionError, IndexError, ExceptionGroup)):
        law()


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
