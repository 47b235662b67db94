"""`RedisStore` with redis-py, blocking, on a server that behaves as each test says."""

from __future__ import annotations

import asyncio
import gc
import threading
from datetime import timedelta
from typing import Any

import pytest

from support.needs import needs

redis = needs("redis")

from failover_iter.redis import RedisStore, _clients, _sender  # noqa: E402 (it needs redis-py)

from .fake_redis import FakeRedis  # noqa: E402
from .processes import Process, warnings  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def test_processes_share_what_they_learn(fake: FakeRedis) -> None:
    """What one process learns holds for the others, by the next question at the latest."""
    one, other = Process(fake.client()), Process(fake.client(decode_responses=True))
    one.fail()
    assert one.health.admit("a").verdict == "no"
    assert other.health.admit("a").verdict == "no"
    assert one.health.snapshot()["a"].until == 10.0
    assert one.health.snapshot() == other.health.snapshot()
    fake.now += 10_000
    probe = other.health.admit("a")
    assert (probe.verdict, one.health.admit("a").verdict) == ("probe", "no")
    assert one.health.snapshot()["a"].state == "probing"
    other.health.report(probe, "committed")
    other.health.report(probe, "good")
    assert other.health.admit("a").verdict == one.health.admit("a").verdict == "yes"
    assert one.health.snapshot()["a"].state == "ok"


def test_b9_no_cache_over_bad_news(fake: FakeRedis) -> None:
    """B9: a healthy answer holds for `fresh` at most, and never over a failure of one's own."""
    one, other = (Process(fake.client(), fresh=0.5, failures=2) for _ in range(2))
    for process in (one, other, one, other):
        assert process.health.admit("a").verdict == "yes"
    assert fake.asked == ["admit a"] * 2
    ticket = one.health.admit("a")
    one.health.report(ticket, "committed")
    one.health.report(ticket, "good")
    one.health.report(ticket, "nothing")
    assert fake.asked == ["admit a"] * 2  # good news of a source that is well
    one.fail()
    assert one.health.admit("a").verdict == "yes"
    assert fake.asked[2:] == ["failed a", "admit a"]
    one.fail()
    assert one.health.admit("a").verdict == "no"
    assert other.health.admit("a").verdict == "yes"  # it is fresh
    other.now += 0.5
    assert other.health.admit("a").verdict == "no"
    asked = len(fake.asked)
    other.now += 0.25
    assert other.health.admit("a").seconds == 9.75  # fresh bad news: not asked again
    assert len(fake.asked) == asked


def test_what_is_remembered_is_bounded(fake: FakeRedis) -> None:
    """Thousands of keys, one for each tenant, do not fill the memory."""
    process = Process(fake.client(), fresh=9)
    for number in range(1100):
        process.health.admit(f"tenant {number}")
    assert len(process.store._known) <= 1000
    cancelled = [f"tenant {number}" for number in range(1000)]
    process.store._asked.update(dict.fromkeys(cancelled, object()))
    process.health.admit("tenant")
    assert not process.store._asked


@pytest.mark.parametrize("mode", ["silent", "sick"])
def test_b8_each_for_itself(fake: FakeRedis, mode: str, caplog: Any) -> None:
    """B8: if Redis is silent or refuses, each process goes on, and asks again after `pause`."""
    process = Process(fake.client(), pause=3)
    ticket = process.health.admit("a")
    fake.mode = mode
    process.health.report(ticket, "failed", ConnectionError())
    assert process.health.admit("a").local
    (warning,) = warnings(caplog)
    assert "each process goes on by itself for 3 s" in warning
    assert process.health.admit("a").verdict == "no"  # the report that was not sent counts here
    assert process.health.snapshot()["a"].state == "out"
    process.health.report(ticket, "committed")  # of before: it is taken for one of this process
    assert process.health.admit("a").verdict == "yes"
    alone = process.health.admit("b")
    process.health.report(alone, "failed", ConnectionError())
    assert process.health.admit("b").verdict == "no"
    asked = len(fake.asked)
    fake.mode, process.now = "well", process.now + 3
    fake.woken.set()
    process.health.report(alone, "good")  # its ticket is one of this process
    assert (process.health.admit("b").verdict, process.health.admit("b").local) == ("yes", False)
    assert fake.asked[asked:] == ["admit b", "admit b"]
    assert len(warnings(caplog)) == 1


def test_b8_a_snapshot_of_this_process(fake: FakeRedis, caplog: Any) -> None:
    """B8: where Redis does not answer, the snapshot is that of this process."""
    process = Process(fake.client())
    process.fail()
    fake.mode = "sick"
    assert process.health.snapshot()["a"].state == "out"  # the report could not be sent
    process.now += 9
    assert process.health.snapshot()["a"].until == 1.0
    assert str(process.health).startswith("source  state")
    assert len(warnings(caplog)) == 2


def test_a_server_that_was_restarted_learns_the_scripts(fake: FakeRedis) -> None:
    """A server that knows no script is sent it in full, with the same result."""
    process = Process(fake.client())
    process.fail()
    assert process.health.admit("a").verdict == "no"
    fake.scripts.clear()
    assert process.health.admit("a").verdict == "no"
    fake.cells.clear()  # FLUSHALL
    process.fail()
    assert process.health.admit("a").verdict == "no"


def test_processes_that_disagree_are_warned_once(fake: FakeRedis, caplog: Any) -> None:
    """Rules belong to `Health`: another process with other rules is a warning, once."""
    one, other = Process(fake.client(), failures=2), Process(fake.client(), failures=3)
    one.fail()
    one.health.admit("a")
    other.health.admit("a")
    other.health.admit("a")
    (warning,) = warnings(caplog)
    assert "other rules (failures=2 " in warning
    assert "this one (failures=3 " in warning


def test_reports_are_sent_without_a_question(fake: FakeRedis) -> None:
    """A thread sends what is reported while nobody asks: a probe that runs for hours."""
    before = set(threading.enumerate())
    process = Process(fake.client())
    process.fail()
    fake.wait_until("failed a")
    process.store._sender._process = -1  # after a fork, the child has no thread
    process.fail("b")
    fake.wait_until("failed b")
    process.store.close()  # twice: there are two threads here
    process.store.close()
    for thread in set(threading.enumerate()) - before:
        if thread.name == "failover_iter.redis":
            thread.join(timeout=10)
    assert process.health.admit("c").admitted


def test_reports_are_sent_at_the_exit(fake: FakeRedis) -> None:
    """What waits when the interpreter exits is sent then."""
    process = Process(fake.client())
    process.store._sender.wake = lambda: None  # type: ignore[method-assign]  # the thread is late
    process.fail()
    _sender.flush_all()
    assert fake.asked[-1] == "failed a"
    sender = process.store._sender
    del process
    gc.collect()
    sender.flush()  # its store is gone


@pytest.mark.parametrize("is_sent", [False, True])
def test_b9_bad_news_during_a_question(fake: FakeRedis, is_sent: bool) -> None:
    """B9: an answer that Redis gave before it knew of a failure of one's own is not used again."""

    async def main() -> None:
        async with fake.aclient() as client:
            process = Process(client, fresh=60, store_timeout=60)
            process.store._sender.wake = lambda: None  # type: ignore[method-assign]
            ticket = await process.health.aadmit("a")
            process.now += 60
            if is_sent:  # the question overtakes the report
                process.health.report(ticket, "failed", ConnectionError())
                (told,) = process.store._take()
                assert (await process.health.aadmit("a")).verdict == "yes"
                process.store._told.append(told)
                await process.store.asend()
            else:
                question = asyncio.create_task(process.health.aadmit("a"))
                while len(fake.asked) < 2:  # noqa: ASYNC110 (the server is a thread)
                    await asyncio.sleep(0)
                process.health.report(ticket, "failed", ConnectionError())
                assert (await question).verdict == "yes"
            assert (await process.health.aadmit("a")).verdict == "no"

    asyncio.run(main())


def test_a_thread_is_rung_once(fake: FakeRedis) -> None:
    """Reports that come faster than the thread sends them leave nothing behind but themselves."""
    process = Process(fake.client())
    bell = process.store._sender._bell
    ticket = process.health.admit("a")
    for _ in range(500):
        process.health.report(ticket, "committed")
        assert bell.qsize() <= 1


def test_ctrl_c_during_a_question_loses_no_report(
    fake: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while Redis is asked, or told: the next question takes the reports along."""
    process = Process(fake.client())
    process.store._sender.wake = lambda: None  # type: ignore[method-assign]
    process.fail()

    def press(_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_clients, "run", press)
        for call in (lambda: process.health.admit("a"), process.store.send):
            with pytest.raises(KeyboardInterrupt):
                call()
    assert process.health.admit("a").verdict == "no"


def test_wrong_clients() -> None:
    """Other clients are refused, and so are pools whose time cannot be limited."""
    store: Any = RedisStore
    with pytest.raises(TypeError, match="client must be a redis.Redis or a redis.asyncio.Redis"):
        store("redis://localhost")
    sentinel = redis.Sentinel([("localhost", 26379)]).master_for("main")
    with pytest.raises(ValueError, match=r"must have a redis\.ConnectionPool"):
        store(sentinel)
    with pytest.raises(TypeError, match="pause must be seconds or a timedelta, got 'x'"):
        store(redis.Redis(), pause="x")
    with pytest.raises(ValueError, match="fresh must be finite and at least 0 s, got -1"):
        store(redis.Redis(), fresh=-1)
    with pytest.raises(ValueError, match="store_timeout must be finite and at least 0.001 s"):
        store(redis.Redis(), store_timeout=0)
    assert store(redis.Redis(), store_timeout=timedelta(seconds=1))._timeout == 1.0


def test_the_clients_own_settings_are_kept() -> None:
    """The store's connections have the client's settings, its own time limit and no retries."""
    theirs = redis.Redis(host="example", port=1, db=3, password="p", socket_timeout=60)
    ours = _clients.bounded(theirs, 0.2).connection_pool.connection_kwargs
    assert [ours[name] for name in ("host", "port", "db", "password")] == ["example", 1, 3, "p"]
    assert (ours["socket_timeout"], ours["socket_connect_timeout"]) == (0.2, 0.2)
    assert ours["retry"]._retries == 0
    unix = _clients.bounded(redis.Redis(unix_socket_path="/run/redis.sock"), 0.2)
    assert unix.connection_pool.connection_kwargs["path"] == "/run/redis.sock"
