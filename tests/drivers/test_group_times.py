"""The time limits of groups, on both drivers."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import Closed, Failed, Policy, Source, StreamTimeout
from support.flavour import SyncFlavour, source


def reset() -> ConnectionError:
    return ConnectionError("reset by peer")


PLAIN = Policy(retry_on=Exception)


@pytest.mark.parametrize("how", ["next", "send"])
def test_the_time_of_a_group_ends_while_items_are_held(flavour: SyncFlavour, how: str) -> None:
    """The group has failed, and the outer stream switches; it does not end."""
    group = Policy(retry_on=OSError, total_timeout=1, commit_when=2 if how == "next" else 1)
    events: list[Any] = []
    policy = Policy(retry_on=OSError, on_event=events.append)
    stream = flavour.of(policy, [group.source([source(flavour, 1, 2)]), source(flavour, 10)])
    assert flavour.next(stream) == 1
    flavour.pass_time(2)
    assert (flavour.next(stream) if how == "next" else flavour.send(stream, "value")) == 10
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert isinstance(failed.error, StreamTimeout)


def test_an_outer_limit_holds_for_the_first_item_of_the_next_inner_source(
    flavour: SyncFlavour,
) -> None:
    """Once the group has yielded an item, each further one has the outer `idle_timeout`."""
    stalls = flavour.pausing(60)
    group = Policy(retry_on=ConnectionError).source([source(flavour, 1, error=reset()), stalls])
    for entry in (group, Source(group.factory, idle_timeout=1)):
        limit = None if entry is not group else 1
        stream = flavour.stream([entry, source(flavour, 9)], idle_timeout=limit)
        assert flavour.drain(stream) == [1, 9]


def test_the_outage_goes_on_outside_of_a_group(flavour: SyncFlavour) -> None:
    """A group that once yielded an item, and now fails, does not begin another outage."""
    down = [source(flavour, 1, error=reset()), flavour.pausing(2, reset())]
    for sources in (down, [PLAIN.source(down)]):
        policy = Policy(retry_on=ConnectionError, give_up_after=1)
        with pytest.raises(ConnectionError):
            flavour.drain(flavour.of(policy, [*sources, source(flavour, 9)]))


def test_failures_in_a_group_whose_time_is_up(flavour: SyncFlavour) -> None:
    """They are in the notes of later errors, and the numbers go on."""
    events: list[Any] = []
    group = Policy(retry_on=Exception, total_timeout=1, on_event=events.append)
    slow = flavour.pausing(2, reset())
    policy = Policy(retry_on=Exception, on_event=events.append)
    inner = group.source([source(flavour, error=reset()), slow])
    with pytest.raises(ConnectionError) as caught:
        flavour.drain(flavour.of(policy, [inner, source(flavour, error=reset())]))
    assert len(caught.value.__notes__) == 2
    assert [event.failures for event in events if isinstance(event, Failed)] == [1, 2, 3]
    assert len([event for event in events if isinstance(event, Closed)]) == 1


def test_the_outer_outage_ends_the_retries_of_a_group(flavour: SyncFlavour) -> None:
    """A group that retries without end stops when the outage of the outer stream is too long."""
    opened: list[int] = []

    def down(*_: object) -> Any:
        opened.append(1)
        raise reset()

    retries = Policy(retry_on=ConnectionError, attempts=None, wait=1)
    policy = Policy(retry_on=ConnectionError, give_up_after=3.5)
    with pytest.raises(ConnectionError):
        flavour.drain(flavour.of(policy, [retries.source([down])]))
    assert len(opened) == 4


def test_an_answer_to_a_throw_is_delivered_whatever_the_time(flavour: SyncFlavour) -> None:
    """`total_timeout` shows at the next pull: the item that answers a throw is not lost."""
    answers = flavour.iterator(lambda: 1, throw=lambda *_: 2)
    stream = flavour.stream([lambda: answers], total_timeout=1)
    assert flavour.next(stream) == 1
    flavour.pass_time(2)
    assert flavour.throw(stream, ValueError()) == 2
    with pytest.raises(StreamTimeout):
        flavour.next(stream)
