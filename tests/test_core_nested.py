"""The core of a stream inside another: what it is handed, and what it says of its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from failover_iter import Completed, Failed, Policy, ReusedIterator, Skip, Source
from failover_iter._core.commands import Open, Raise
from failover_iter._core.new_run import begin
from failover_iter._core.run import Run
from failover_iter.errors import is_usage_error
from support.play import lost, named, show, started

A, B, C = (named(name) for name in "abc")


def raises_at_a_failure(event: object) -> None:
    if isinstance(event, Failed):
        raise LookupError("callback")


def fails_with_its_listener(run: Run) -> None:
    with pytest.raises(LookupError, match="callback"):
        run.failed(lost(), None, received=False)


def handed_over(inner: Any, **outer: Any) -> Open:
    """What opens a nested source after A has delivered one item and failed."""
    run = started([A, inner], **outer)
    run.any = run.record.any = True
    run.record.deliver("1")
    command = run.failed(lost(), None, received=True)
    assert isinstance(command, Open)
    return command


def inside(command: Open, policy: Policy, factories: Any) -> Run:
    """The core of the stream inside."""
    assert command.handover is not None
    return begin(
        policy,
        factories,
        "sync",
        mark_takeovers=False,
        seed=command.handover,
        report=lambda *_: None,
    )


@pytest.mark.parametrize("mode", ["restart", "skip", "resume"])
def test_a_stream_inside_takes_over_as_if_it_were_flat(mode: Any) -> None:
    """It is handed mode, record and failures, and opens its first source with them."""
    policy = Policy(retry_on=OSError, mid_stream=mode)
    command = handed_over(policy.source([B, C]), mid_stream=mode)
    handover = command.handover
    assert handover is not None
    assert (command.args, command.key, command.marker) == (("sync", handover, False), None, None)
    assert (handover.mode, str(handover.error)) == (mode, "lost")
    assert [failed.source for failed in handover.failures] == ["a"]
    first = inside(command, policy, [B, C]).start(lambda: 0.0)
    assert isinstance(first, Open)
    assert (first.entry.name, first.skip) == ("b", int(mode == "skip"))
    assert [progress.delivered for progress in first.args] == [1] * (mode == "resume")


def test_the_key_of_the_stream_around_holds_inside() -> None:
    """Where the stream around compares by key, a source inside without a key is compared too."""
    policy = Policy(retry_on=OSError, mid_stream="skip")
    command = handed_over(policy.source([B]), mid_stream=Skip(key=str))
    first = inside(command, policy, [B]).start(lambda: 0.0)
    assert isinstance(first, Open)
    assert (first.skip, first.key) == (1, str)


@pytest.mark.parametrize(
    "ends",
    [
        lambda run: run.closed(KeyError("mine"), None, theirs=True),
        lambda run: run.closed(GeneratorExit(), None, theirs=False),
        fails_with_its_listener,
        lambda run: run.ended(None, OSError("closing"), received=True, judged=True),
    ],
)
def test_who_ended_a_stream_inside(ends: Callable[[Run], object]) -> None:
    """What its consumer, a callback or closing has ended is no failure for the stream around."""
    policy = Policy(retry_on=OSError, on_event=raises_at_a_failure)
    command = handed_over(policy.source([B]))
    assert command.handover is not None
    run = inside(command, policy, [B])
    run.start(lambda: 0.0)
    assert not command.handover.excused
    ends(run)
    assert command.handover.excused


def test_a_source_inside_that_cannot_resume() -> None:
    """Read lazily, it is a wrong use when it is its turn: nobody could know it before."""
    policy = Policy(retry_on=OSError)
    factories = {B: "read when opened"}
    command = handed_over(policy.source(factories), mid_stream="resume")
    message = (
        "^source 'b' of a Policy.source cannot go on where the stream around it stopped with "
        r"mid_stream='restart' \(not set\): under a stream that resumes, give its policy "
    )
    with pytest.raises(ValueError, match=message) as caught:
        inside(command, policy, factories).start(lambda: 0.0)
    assert is_usage_error(caught.value)


def test_a_stream_inside_that_needs_more_than_was_recorded() -> None:
    """A list that has grown since needs what nobody recorded: a wrong use that says what to do."""
    policy = Policy(retry_on=OSError)
    factories: list[Any] = [B]
    command = handed_over(policy.source(factories))
    factories.append(Source(C, mid_stream=Skip(key=str)))
    message = "^a Policy.source needs more of what was delivered than the stream around it has rec"
    with pytest.raises(ValueError, match=message) as caught:
        inside(command, policy, factories)
    assert is_usage_error(caught.value)


def test_factories_that_raise_inside_are_no_outage() -> None:
    """What reading the factories of a stream inside raises ends the stream around it too."""

    def factories() -> Iterator[Any]:
        raise ConnectionError("no list of mirrors")
        yield

    policy = Policy(retry_on=OSError)
    command = handed_over(policy.source({B: "read when opened"}))
    assert command.handover is not None
    with pytest.raises(ConnectionError, match="mirrors"):
        inside(command, policy, factories()).start(lambda: 0.0)
    assert command.handover.excused


def test_a_listener_inside_that_raises_at_the_end() -> None:
    """What it raises at `Completed` is no failure of the source inside."""

    def listens(event: object) -> None:
        if isinstance(event, Completed):
            raise ConnectionError("listener")

    policy = Policy(retry_on=OSError, on_event=listens)
    command = handed_over(policy.source([B]))
    assert command.handover is not None
    run = inside(command, policy, [B])
    run.start(lambda: 0.0)
    with pytest.raises(ConnectionError, match="listener"):
        run.ended(None, None, received=False, judged=True)
    assert command.handover.excused


def test_a_restart_inside_is_told_around() -> None:
    """The stream around starts over with the item that comes after a restart inside."""
    policy = Policy(retry_on=OSError)
    command = handed_over(policy.source([B]), on_event=lambda event: None)
    assert command.handover is not None
    run = inside(command, policy, [B])
    run.start(lambda: 0.0)
    assert not command.handover.restarted
    run.committed()
    assert command.handover.restarted
    assert (run.record.count, run.record.before) == (0, 1)


def test_a_stream_inside_raises_only_for_what_it_delivered() -> None:
    """Under its own "raise" it takes over as the stream around says, until it delivers itself."""
    policy = Policy(retry_on=OSError, mid_stream="raise")
    command = handed_over(policy.source([B, C]), mid_stream="skip")
    run = inside(command, policy, [B, C])
    first = run.start(lambda: 0.0)
    second = run.failed(lost(), None, received=False)
    assert isinstance(first, Open)
    assert isinstance(second, Open)
    assert (first.skip, second.skip) == (1, 1)
    run.any = True
    assert isinstance(run.failed(lost(), None, received=True), Raise)


def test_failures_around_count_inside() -> None:
    """A generator that has ended is refused inside too, and failures are counted on."""
    policy = Policy(retry_on=OSError, attempts=2, wait=lambda failed: failed.failures)
    command = handed_over(policy.source([B]))
    run = inside(command, policy, [B])
    run.start(lambda: 0.0)
    with pytest.raises(ReusedIterator):
        run.opened_ended()
    assert show(run.failed(lost(), None, received=False)) == "sleep 2"
