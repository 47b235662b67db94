"""The asyncio event loop in virtual time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from failover_iter.testing import VirtualClock, _virtual


def test_time_jumps_to_the_next_timer() -> None:
    """An hour takes no real time, and timers fire in order."""

    async def main() -> tuple[list[str], float]:
        order: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            order.append(name)

        began = asyncio.get_running_loop().time()
        await asyncio.gather(after(3600, "late"), after(60, "soon"))
        return order, asyncio.get_running_loop().time() - began

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        assert runner.run(main()) == (["soon", "late"], 3600.0)


def test_it_waits_if_no_timer_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a timer, the loop waits for events, and its clock does not move."""
    loop = VirtualClock().new_event_loop()
    before, answers = loop.time(), iter([[], ["ready"]])
    with monkeypatch.context() as patch:
        patch.setattr("selectors.DefaultSelector.select", lambda self, timeout: next(answers))
        assert loop._selector.select(None) == ["ready"]  # type: ignore[attr-defined]
    assert loop.time() == before
    loop.close()


def test_it_waits_for_threads() -> None:
    """Without a timer, the loop waits in real time for a call from a thread."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        threading.Thread(
            target=loop.call_soon_threadsafe, args=(answer.set_result, "from a thread")
        ).start()
        return await answer

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        assert runner.run(main()) == "from a thread"


def test_it_does_not_wait_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a timer or an event, the loop raises an error instead of hanging."""
    monkeypatch.setattr(_virtual, "PATIENCE", 0.01)

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    runner = asyncio.Runner(loop_factory=VirtualClock().new_event_loop)
    with pytest.raises(RuntimeError, match="wait for something that never happens"):
        runner.run(main())
    runner.close()
