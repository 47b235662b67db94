"""Random streams of which a callback raises, at each of its calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_iter import Decide, Event, Policy, Skip, SourceTimeout
from failover_iter.testing import Plan, run_plan
from failover_iter.testing._oracle import resolve
from laws.departures import MANY, Heard, grouped, limits, plans

pytestmark = pytest.mark.usefixtures("no_log")


class Callbacks:
    """Options with all kinds of callbacks, one of which raises at one of its calls."""

    def __init__(self, error: BaseException, at: int | None) -> None:
        self.error, self.at = error, at
        self.calls = 0
        self.called: list[str] = []
        self.heard = Heard()

    def call(self, name: str, value: Any) -> Any:
        self.calls += 1
        self.called.append(name)
        if self.calls == self.at:
            raise self.error
        return value

    def listen(self, event: Event) -> None:
        self.heard(event)
        self.call(type(event).__name__, None)

    def options(self, used: set[str], mode: Any) -> dict[str, Any]:
        callbacks: dict[str, Any] = {
            "on_event": self.listen,
            "wait": lambda failed: self.call("wait", 0),
            "commit_when": lambda item: self.call("commit_when", item == "b"),
            "complete_when": lambda item: self.call("complete_when", item == "c"),
        }
        chosen = {name: value for name, value in callbacks.items() if name in used}
        if mode == "key":
            mode = Skip(key=lambda item: self.call("key", item))
        elif mode == "decide":
            mode = Decide(lambda progress: self.call("decide", "skip"))
        retry_on: Any = ConnectionError
        if "retry_on" in used:

            def retry_on(error: Exception) -> Any:
                return self.call("retry_on", isinstance(error, ConnectionError))

        return {"retry_on": retry_on, "mid_stream": mode, "attempts": 2, **chosen}


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
@MANY
@given(
    plans,
    st.sets(
        st.sampled_from(
            ["on_event", "on_event", "wait", "commit_when", "complete_when", "retry_on"]
        )
    ),
    st.sampled_from(["restart", "skip", "resume", "key", "decide"]),
    st.just({}) | limits,
    st.booleans(),
    st.sampled_from([ConnectionError, SourceTimeout, KeyError, StopIteration, KeyboardInterrupt]),
)
def test_callbacks_that_raise_at_each_call(
    flavour: Any,
    plan: Plan,
    used: set[str],
    mode: str,
    limits: dict[str, Any],
    nested: bool,
    kind: type[BaseException],
) -> None:
    """An error of a callback, at whichever call, reaches the consumer; nothing is left open."""
    oracles = resolve(["no_leak", "closed_once", "one_open", "no_reopen", "ends"])

    def play(at: int | None) -> tuple[Any, Callbacks]:
        callbacks = Callbacks(kind("callback"), at)
        outer = Policy(**callbacks.options(used, mode), **limits)

        def pipeline(*factories: Any) -> Any:
            sources: Any = grouped(outer, factories) if nested else factories
            return outer.stream(sources) if flavour == "sync" else outer.astream(sources)

        try:
            return run_plan(pipeline, plan, flavour=flavour), callbacks
        except KeyboardInterrupt:  # the kit lets it through
            return None, callbacks

    _, whole = play(None)
    for at in range(1, whole.calls + 1):
        run, callbacks = play(at)
        assert not callbacks.heard.problems, callbacks.heard.problems
        assert not callbacks.heard.open, callbacks.heard.open
        if run is None:
            continue
        for oracle in oracles:
            if limits and oracle.name == "one_open":
                continue  # a blocking source that timed out is abandoned
            assert oracle(run) is None, (oracle(run), callbacks.called)
        if kind is StopIteration:
            assert isinstance(run.error, RuntimeError), run.error
        else:
            assert run.error is callbacks.error, (run.error, callbacks.called)
