"""`Policy`: one frozen value for many streams."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from dataclasses import dataclass, replace
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

import pytest

from failover_iter import Event, Policy, Skip, Source, SourceError
from support.factories import broken, dead, good, good_async
from support.loops import drained

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_end(item: object) -> bool:
    return item == 3


POLICIES = [
    Policy(retry_on=OSError),
    Policy(
        retry_on=(OSError, ValueError),
        mid_stream=Skip(key=str),
        attempts=3,
        reset_on_progress=True,
        wait=1.5,
        commit_when=2,
        complete_when=is_end,
        allow_empty=False,
        on_exhausted="group",
        on_event=print,
    ),
]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_travels(policy: Policy) -> None:
    """A policy can be pickled if its callables can, and the copy works like the original."""
    copied = pickle.loads(pickle.dumps(policy))
    assert copied == policy
    assert hash(copied) == hash(policy)
    assert list(replace(copied, on_event=None).stream([good])) == [1, 2, 3]


def test_a_changed_copy_leaves_the_original_alone() -> None:
    """`dataclasses.replace` returns another policy, checked like the first."""
    policy = Policy(retry_on=OSError)
    changed = replace(policy, mid_stream="skip", attempts=2)
    assert type(changed) is Policy
    assert (policy.mid_stream, policy.attempts) == (None, 1)
    assert list(changed.stream([broken, good])) == [1, 2, 3]
    with pytest.raises(ValueError, match="^attempts must be an int of at least 1"):
        replace(policy, attempts=-1)


def test_streams_are_real_generators() -> None:
    """`stream` returns a generator, `astream` an async one, and neither opens anything."""
    opened: list[str] = []
    policy = Policy(retry_on=OSError)
    stream = policy.stream([lambda: opened.append("sync") or [1]])
    astream = policy.astream([lambda: opened.append("async") or good_async()])
    assert type(stream) is GeneratorType
    assert type(astream) is AsyncGeneratorType
    assert opened == []
    assert list(stream) == [1]
    assert asyncio.run(drained(astream)) == [1, 2, 3]
    assert opened == ["sync", "async"]


def test_two_streams_of_one_policy_are_independent() -> None:
    """Streams that are pulled in turns each count their own attempts and items."""
    seen: list[Event] = []
    policy = Policy(retry_on=OSError, mid_stream="skip", attempts=2, on_event=seen.append)
    plans = iter([broken, broken, good, good])
    streams = [policy.stream([lambda: next(plans)()]) for _ in range(2)]
    taken: list[list[int]] = [[], []]
    for _ in range(3):
        for items, stream in zip(taken, streams, strict=True):
            items.append(next(stream))
    assert taken == [[1, 2, 3], [1, 2, 3]]
    assert [e.attempt for e in seen if type(e).__name__ == "Opening"] == [1, 1, 2, 2]


def test_threads_share_a_policy() -> None:
    """Streams of one policy in several threads each deliver all items."""
    policy = Policy(retry_on=OSError, mid_stream="skip", attempts=2)
    barrier = threading.Barrier(4)
    delivered: list[list[int]] = []

    def work() -> None:
        barrier.wait(timeout=30)
        delivered.append(list(policy.stream([broken, dead, good])))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert delivered == [[1, 2, 3]] * 4


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_mark_takeovers_is_true_or_false(value: Any) -> None:
    """The argument of `stream` and `astream` is checked at the call."""
    policy = Policy(retry_on=OSError)
    for make in (policy.stream, policy.astream):
        with pytest.raises(TypeError, match="^mark_takeovers must be True or False, got "):
            make([lambda: [1]], mark_takeovers=value)


def test_a_policy_decorates() -> None:
    """`Policy.failover` is `failover` with the options of the policy."""
    policy = Policy(retry_on=OSError, mid_stream="skip")

    @policy.failover(good)
    def read() -> Iterator[int]:
        """Read."""
        return broken()

    assert list(read()) == [1, 2, 3]
    assert (read.__name__, read.__doc__) == ("read", "Read.")


def delivered(stream: Any) -> tuple[list[Any], type | None]:
    items: list[Any] = []
    try:
        for item in stream:
            items.append(item)
    except (ConnectionError, SourceError) as error:
        return items, type(error)
    return items, None


@dataclass(frozen=True)
class Named(Policy):
    """A policy with one more field."""

    title: str = "orders"


class Plain(Named):
    """A subclass of it that adds nothing."""


@pytest.mark.parametrize("cls", [Named, Plain])
@pytest.mark.parametrize(
    "made", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each)), replace]
)
def test_a_subclass_keeps_its_options_when_it_is_copied(cls: Any, made: Any) -> None:
    """Copies of a subclass keep their type and options, which are checked as ever."""
    policy = made(cls(retry_on=ConnectionError, mid_stream="skip", title="bills"))
    assert (type(policy), policy.title, policy.mid_stream) == (cls, "bills", "skip")
    assert list(policy.stream([broken, good])) == [1, 2, 3]
    with pytest.raises(TypeError, match="^attempts must be an int"):
        cls(retry_on=ConnectionError, attempts="3")


class Ours(Policy):
    """A policy that sets an option for all who use it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(retry_on=ConnectionError, **options)


def test_a_source_changes_an_option_of_a_subclass() -> None:
    """An option of a `Source` takes effect, however the policy around it was made."""
    policy = Ours(mid_stream="skip")
    sources = [Source(each, attempts=2) for each in (broken, good)]
    assert list(policy.stream([policy.source(sources)])) == [1, 2, 3]
