"""`Health` itself: its options, how it shows itself, and the streams that share it."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter import (
    Closed,
    Health,
    Opening,
    PassedOver,
    Policy,
    Source,
    Trace,
    Waiting,
    failover_stream,
)
from failover_iter.health import LocalStore, Snapshot, SourceHealth, requested_delay
from support.runners import quiet


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"failures": 0}, ValueError, "failures must be an int of at least 1, got 0"),
        ({"failures": 1.5}, TypeError, "failures must be an int of at least 1, got 1.5"),
        ({"cooldown": 0}, ValueError, "cooldown must be at least 0.001 s, got 0"),
        ({"cooldown": "1"}, TypeError, "cooldown must be seconds"),
        ({"maximum": 1}, ValueError, r"maximum must be at least cooldown \(30\), got 1"),
        ({"lease": float("inf")}, ValueError, "lease must be finite"),
        ({"counts": [OSError]}, TypeError, "counts must be an exception class"),
        ({"retry_after": 5}, TypeError, "retry_after must be a function"),
        ({"clock": 5}, TypeError, "clock must be a function"),
        ({"clock": float, "store": LocalStore()}, ValueError, "clock is for the store of this"),
        ({"store": LocalStore}, TypeError, r"store must be a RedisStore\(client\)"),
        ({"store": object()}, TypeError, r"store must be a RedisStore\(client\)"),
        ({"failure": 3}, TypeError, "did you mean 'failures'"),
    ],
)
def test_wrong_options(options: Any, error: type[Exception], message: str) -> None:
    """Wrong use fails at once, and the error names the option, the value and what is allowed."""
    with pytest.raises(error, match=message):
        Health(**options)


def test_only_a_health_is_a_health() -> None:
    """The option of a stream takes a `Health`, an object and not the class; so a source its key."""
    for wrong in (True, Health):
        with pytest.raises(TypeError, match="^health must be a Health, or None, got "):
            failover_stream([list], retry_on=OSError, health=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^Source\(health_key=...\) must be a str or None, got 3"):
        Source(list, health_key=3)  # type: ignore[arg-type]


def test_it_shows_itself() -> None:
    """Its repr is its rules; as text and in a notebook it is a table of its sources."""
    health = Health(cooldown=timedelta(seconds=5), clock=lambda: 0.0)
    assert repr(health) == "Health(failures=3, cooldown=5, maximum=300, lease=60)"
    assert str(health) == "no failures"
    assert health._repr_html_() == "<div>no failures</div>"
    for key in ("<eu\n1>", "b"):
        for _ in range(3):
            health.report(health.admit(key), "failed", OSError())
    assert str(health).splitlines() == [
        "source     state  failures  until  level",
        "'<eu\\n1>'  out           0  5.0 s      1",
        "b          out           0  5.0 s      1",
    ]
    assert "<td>&#x27;&lt;eu\\n1&gt;&#x27;</td><td>out</td>" in health._repr_html_()
    snapshot = health.snapshot()
    assert (list(snapshot), len(snapshot)) == (["<eu\n1>", "b"], 2)
    assert repr(Snapshot({})) == "Snapshot({})"
    assert asyncio.run(health.asnapshot()) == snapshot
    assert snapshot["b"] == SourceHealth("out", 0, 5.0, 1)


def test_what_an_error_asks_for() -> None:
    """By default an error asks to wait by its `retry_after`, or by the header of its response."""
    headers = {"retry-after": "7"}
    cases: list[tuple[Any, float | None]] = [
        (OSError(), None),
        (SimpleNamespace(retry_after=3), 3.0),
        (SimpleNamespace(retry_after=timedelta(minutes=1)), 60.0),
        (SimpleNamespace(retry_after=None, response=None), None),
        (SimpleNamespace(response=SimpleNamespace(headers=headers)), 7.0),
        (SimpleNamespace(response=SimpleNamespace(headers={})), None),
        (SimpleNamespace(response=SimpleNamespace(headers={"retry-after": "Wed, 21"})), None),
    ]
    for error, seconds in cases:
        assert requested_delay(error) == seconds


def test_functions_that_raise_do_not_fail_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    """B8: what the functions of its options raise is logged, and no stream fails."""
    health = Health(failures=1, retry_after=lambda error: 1 / 0, counts=lambda error: bool(1 / 0))
    policy = Policy(retry_on=ConnectionError, switch_on=LookupError, health=health)
    raises: list[Exception] = [ConnectionError("refused"), LookupError("404")]

    def primary() -> Iterator[int]:
        raise raises.pop()
        yield

    for state in ("ok", "out"):
        assert list(policy.stream([primary, lambda: [1]])) == [1]
        assert health.snapshot()["primary"].state == state
    assert caplog.text.count("ZeroDivisionError") == 3


@pytest.mark.parametrize(
    ("counts", "state"), [(LookupError, "out"), (lambda error: True, "out"), (OSError, "ok")]
)
def test_counts(counts: Any, state: str) -> None:
    """`counts` says which of the errors in `switch_on` count."""
    health = Health(failures=1, counts=counts)

    def primary() -> Iterator[int]:
        raise LookupError("404")
        yield

    with quiet():
        list(
            failover_stream(
                [primary, lambda: [1]], retry_on=OSError, switch_on=LookupError, health=health
            )
        )
    assert health.snapshot()["primary"].state == state


def test_keys() -> None:
    """Policies share what they know by the name of a source, or by its `health_key`."""
    health = Health(failures=1)

    def primary() -> Iterator[int]:
        raise ConnectionError("refused")
        yield

    events: list[Any] = []
    policy = Policy(retry_on=ConnectionError, health=health, on_event=events.append)
    with quiet():
        list(policy.stream([Source(primary, health_key="eu-1"), lambda: [1]]))
        assert health.snapshot()["eu-1"].state == "out"
        events.clear()
        list(policy.stream([Source(lambda: [2], name="other", health_key="eu-1"), lambda: [1]]))
    assert isinstance(events[0], PassedOver)


def test_the_last_one_left_is_asked_without_ado() -> None:
    """B1: a single source that is out is opened, and nothing is passed over."""
    health, events = Health(failures=1), list[Any]()
    health.report(health.admit("only"), "failed", OSError())

    def only() -> list[int]:
        return [1]

    stream = failover_stream([only], retry_on=OSError, health=health, on_event=events.append)
    assert list(stream) == [1]
    assert isinstance(events[0], Opening)
    assert health.snapshot()["only"].state == "ok"


def test_a_group_has_its_own_health() -> None:
    """A `Policy.source` is one source to the outer stream: it is known by its name there."""
    outer, inner = Health(failures=1), Health(failures=1)

    def down() -> Iterator[int]:
        raise ConnectionError("refused")
        yield

    policy = Policy(retry_on=ConnectionError, health=inner)
    group = policy.source([down], name="region")
    with quiet():
        for _ in range(2):
            stream = failover_stream([group, lambda: [1]], retry_on=OSError, health=outer)
            assert list(stream) == [1]
    assert outer.snapshot()["region"].state == inner.snapshot()["down"].state == "out"


def test_a_source_that_is_raise_mid_stream_does_not_come_back() -> None:
    """A source that was postponed may not take over any more once items were delivered."""
    health = Health(failures=1)
    health.report(health.admit("shy"), "failed", OSError())

    def shy() -> list[int]:
        raise AssertionError("it may not take over")

    def breaks() -> Iterator[int]:
        yield 1
        raise ConnectionError("reset by peer")

    with quiet(), pytest.raises(ConnectionError):
        list(
            failover_stream(
                [Source(shy, mid_stream="raise"), breaks], retry_on=ConnectionError, health=health
            )
        )


def test_a_probe_is_given_back_when_the_outage_lasts_too_long() -> None:
    """A source that was admitted and then is not opened after all leaves no lease behind."""
    now = 0.0
    health = Health(failures=9, cooldown=1, clock=lambda: now)
    health.report(health.admit("a"), "failed", SimpleNamespace(retry_after=1))  # type: ignore[arg-type]
    now = 2.0

    def a() -> Iterator[int]:
        raise ConnectionError("refused")
        yield

    def fails() -> Iterator[int]:
        nonlocal now
        now = 4.0
        raise ConnectionError("refused")
        yield

    with quiet(), pytest.raises(ConnectionError):
        list(
            failover_stream(
                [fails, a],
                retry_on=ConnectionError,
                health=health,
                wait=9,
                give_up_after=5,
                attempts=2,
            )
        )
    assert health.admit("a").verdict == "probe"


def test_a_trace_shows_what_was_passed_over() -> None:
    """`Trace` has a line for a source that is asked last."""
    health, trace = Health(failures=1), Trace()
    health.report(health.admit("primary"), "failed", OSError())

    def primary() -> list[int]:
        return [1]

    list(failover_stream([primary, lambda: [1]], retry_on=OSError, health=health, on_event=trace))
    assert "primary" in str(trace)
    assert "health" in str(trace)


def test_many_threads() -> None:
    """Threads that share a sick primary ask it a few times, and one of them probes at a time."""
    now = [0.0]
    health = Health(failures=3, cooldown=1, clock=lambda: now[0])
    asked: list[str] = []
    policy = Policy(retry_on=ConnectionError, health=health)

    def primary() -> Iterator[int]:
        asked.append("primary")
        raise ConnectionError("refused")
        yield

    def work() -> None:
        for _ in range(50):
            assert list(policy.stream([primary, lambda: [1]])) == [1]

    threads = [threading.Thread(target=work) for _ in range(8)]
    with quiet():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(asked) <= 3 + 8  # each thread may be on its way when the third one fails
    assert health.snapshot()["primary"].level == 1


def test_a_thousand_tasks() -> None:
    """A thousand streams at once probe a source one at a time, until it is well."""
    now = [0.0]
    health = Health(failures=1, cooldown=1, clock=lambda: now[0])
    policy = Policy(retry_on=ConnectionError, health=health)
    asked: list[str] = []
    is_sick = True

    async def primary() -> AsyncIterator[str]:
        asked.append("primary")
        await asyncio.sleep(0)
        if is_sick:
            raise ConnectionError("refused")
        yield "primary"

    async def replica() -> AsyncIterator[str]:
        yield "replica"

    async def one() -> str:
        return "".join([item async for item in policy.astream([primary, replica])])

    async def main() -> list[str]:
        nonlocal is_sick
        await one()
        now[0] += 2
        asked.clear()
        first = await asyncio.gather(*(one() for _ in range(1000)))
        assert (asked, set(first)) == (["primary"], {"replica"})
        now[0] += 4
        is_sick = False
        return await asyncio.gather(*(one() for _ in range(1000)))

    with quiet():
        after = asyncio.run(main())
    assert after.count("primary") == 1  # the probe; the others had begun by then
    assert health.snapshot()["primary"].state == "ok"


def test_a_stream_that_is_let_go_gives_its_probe_back() -> None:
    """B3: a stream that is collected as garbage reports, too: from a finalizer, without a lock."""
    now = [0.0]
    health = Health(failures=1, cooldown=1, clock=lambda: now[0])
    policy = Policy(retry_on=ConnectionError, health=health)
    health.report(health.admit("primary"), "failed", OSError())
    now[0] = 2.0

    def primary() -> Iterator[int]:
        yield 1
        yield 2

    stream = policy.stream([primary])
    assert next(stream) == 1
    del stream
    gc.collect()
    assert health.snapshot()["primary"].level == 0
    with closing(policy.stream([primary])) as stream:
        assert next(stream) == 1


class Slow:
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def admit(self, key: str, rules: Any) -> Any:
        raise KeyboardInterrupt

    async def aadmit(self, key: str, rules: Any) -> Any:
        await asyncio.sleep(3600)

    def report(self, *told: Any) -> None:
        self.told.append(told)

    def snapshot(self, rules: Any) -> Any:
        return {}

    async def asnapshot(self, rules: Any) -> Any:
        return {}


def test_an_interrupted_question() -> None:
    """Ctrl-C, or a cancellation, while the health is asked ends the streams around it, too."""
    events: list[Any] = []
    inner = Policy(retry_on=OSError, health=Health(store=Slow()))
    outer = Policy(retry_on=OSError, on_event=events.append)
    with pytest.raises(KeyboardInterrupt):
        list(outer.stream([inner.source([lambda: [1]])]))
    assert [type(event) for event in events] == [Opening, Closed]

    async def one() -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        async with asyncio.timeout(0):
            async for _ in outer.astream([inner.source([one])]):
                pass

    events.clear()
    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert [type(event) for event in events] == [Opening, Closed]


def test_a_listener_that_raises_after_a_question() -> None:
    """An error of a listener refers to the failure before it, also after a question."""

    def listen(event: Any) -> None:
        if isinstance(event, Waiting):
            raise made

    def primary() -> Iterator[int]:
        raise ConnectionError("refused")
        yield

    made = LookupError("mine")
    policy = Policy(retry_on=ConnectionError, health=Health(), attempts=2, on_event=listen)
    with quiet(), pytest.raises(LookupError) as caught:
        list(policy.stream([primary]))
    assert isinstance(caught.value.__context__, ConnectionError)
    unknown: dict[Any, Any] = {}
    with pytest.raises(KeyError, match="Opening"):  # raised before any failure
        list(replace(policy, on_event=unknown.__getitem__).stream([primary]))
