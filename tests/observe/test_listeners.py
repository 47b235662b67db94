"""`listeners`: several as one; and the module without the packages that it needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import Ended, Event, Trace, failover_stream, observe
from failover_iter.observe import listeners


class Kept:
    """Keeps all that it receives, and may raise."""

    def __init__(self, error: Exception | None = None) -> None:
        self.names: list[str] = []
        self.error = error

    def __call__(self, event: Event) -> None:
        self._keep(event)

    def stream_ended(self, ended: Ended) -> None:
        self._keep(ended)

    def _keep(self, record: Any) -> None:
        self.names.append(type(record).__name__)
        if self.error is not None:
            raise self.error


class KeptChat(Kept):
    """Keeps the model of the answer too."""

    def chat_event(self, event: Event, attempt: Any) -> None:
        self.names.append(f"{type(event).__name__} {attempt.model if attempt else None}")


def one() -> Iterator[int]:
    yield 1


def test_each_listener_receives_each_event() -> None:
    """In order; only those with a method for the end receive the end."""
    seen: list[Any] = []
    trace, kept = Trace(), Kept()
    both = listeners(trace, seen.append, kept)
    list(failover_stream([one], retry_on=OSError, on_event=both))
    assert kept.names == ["Opening", "Committed", "Completed", "Ended"]
    assert [type(event).__name__ for event in seen] == kept.names[:-1]
    assert [row.source for row in trace.attempts] == ["one"]


def test_the_events_of_chats_are_passed_on() -> None:
    """A listener without a method for chats receives the event alone."""
    from failover_iter import Opening
    from failover_iter.llm import AttemptUsage, Usage

    kept, chat = Kept(), KeptChat()
    both: Any = listeners(kept, chat)
    event = Opening("a", 1, 0, 0.0)
    both.chat_event(event, AttemptUsage(provider="openai", model="gpt", usage=Usage()))
    assert (kept.names, chat.names) == (["Opening"], ["Opening gpt"])


def test_an_error_keeps_no_event_from_the_others() -> None:
    """The others receive the event, and the stream raises the first error."""
    first, second = Kept(LookupError("first")), Kept(LookupError("second"))
    last = Kept()
    stream = failover_stream([one], retry_on=OSError, on_event=listeners(first, second, last))
    with pytest.raises(LookupError, match="^'?first"):
        next(stream)
    assert first.names == second.names == last.names == ["Opening", "Closed", "Ended"]


@pytest.mark.parametrize("wrong", [3, Trace])
def test_only_listeners_are_listeners(wrong: Any) -> None:
    """A class would be made anew for each event."""
    with pytest.raises(TypeError, match="^listeners must be functions that take an event, got"):
        listeners(wrong)


@pytest.mark.parametrize(
    ("name", "package"), [("otel", "opentelemetry"), ("prometheus", "prometheus_client")]
)
def test_a_missing_package_is_named(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra that installs it."""
    monkeypatch.delitem(vars(observe), name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"^failover_iter\.observe\.{name} needs {package}: install failover-iter\[{name}\]$"
    with pytest.raises(ModuleNotFoundError, match=message):
        getattr(observe, name)


def test_its_names() -> None:
    """`dir` shows each public name, and an unknown one is an AttributeError."""
    assert set(observe.__all__) <= set(dir(observe))
    with pytest.raises(AttributeError, match="^module 'failover_iter.observe' has no attribute"):
        _ = observe.datadog  # type: ignore[attr-defined]
