"""What a stream has delivered: counted, kept and digested as far as somebody asks for it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_iter import (
    Decide,
    Failed,
    Policy,
    Progress,
    Resume,
    Skip,
    Source,
    Takeover,
)
from failover_iter._core.delivered import Needs, Record, feed, new_digest
from failover_iter._core.sources import read_factories
from failover_iter._options import Options
from failover_iter.errors import is_usage_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Key = str | bytes | int
keys = st.one_of(
    st.text("ab", max_size=3), st.binary(max_size=2), st.integers(-9, 9), st.booleans()
)
sequences = st.lists(keys, max_size=4)


def digest_of(sequence: list[Any]) -> bytes:
    digest = new_digest()
    for key in sequence:
        feed(digest, key)
    return digest.digest()


def kind(key: Key) -> type:
    return next(each for each in (str, bytes, int) if isinstance(key, each))


def alike(one: list[Key], other: list[Key]) -> bool:
    """Whether the keys are the same, and of the same kinds (True is the int 1)."""
    return one == other and [*map(kind, one)] == [*map(kind, other)]


@given(sequences, sequences)
def test_other_keys_give_another_digest(one: list[Key], other: list[Key]) -> None:
    """Two sequences of keys have the same digest exactly if they are the same sequence."""
    assert (digest_of(one) == digest_of(other)) == alike(one, other)


@given(sequences, st.data())
def test_keys_cut_in_other_places_give_another_digest(one: list[Key], data: st.DataObject) -> None:
    """The same text cut into other keys, or given as another type, is another sequence."""
    text = data.draw(st.text(min_size=2, max_size=6))
    cut = data.draw(st.integers(1, len(text) - 1))
    whole = digest_of([*one, text])
    assert whole != digest_of([*one, text[:cut], text[cut:]])
    assert whole != digest_of([*one, text.encode("utf-8", "surrogatepass")])
    assert whole != digest_of([*one, "", text])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab"], ["a", "b"]),
        ([b"a"], ["a"]),
        ([1], ["1"]),
        ([1], [b"1"]),
        ([-1], [1]),
        ([0], []),
        ([""], []),
        (["s1:a"], ["a"]),
        (["a" + "s1:b"], ["a", "b"]),
        ([12], [1, 2]),
        ([2**70], [2**70 + 1]),
        (["\ud800"], ["\ud801"]),
    ],
)
def test_sequences_that_must_not_be_taken_for_one_another(one: list[Any], other: list[Any]) -> None:
    """Cuts, types, signs and the tags themselves are told apart."""
    assert digest_of(one) != digest_of(other)


def test_equal_keys_are_equal() -> None:
    """True is the int 1, and a str of a subclass is the str that it equals."""

    class Name(str):
        __slots__ = ()

    assert digest_of([True, False]) == digest_of([1, 0])
    assert digest_of([Name("a")]) == digest_of(["a"])


THE_KEY_GAVE = "^the function of key must give a str, bytes or int, got "


@pytest.mark.parametrize("key", [None, 1.5, ("a",), bytearray(b"a")])
def test_other_keys_are_refused(key: object) -> None:
    """A key of another type is a TypeError that says which are allowed."""
    with pytest.raises(TypeError, match=THE_KEY_GAVE) as caught:
        feed(new_digest(), key)
    assert is_usage_error(caught.value)


def needs_of(**options: Any) -> Needs:
    needs = Needs()
    needs.add(Options(**{"retry_on": OSError, **options}))
    return needs


@pytest.mark.parametrize(
    ("options", "counts", "keep", "key_count"),
    [
        ({}, False, 0, 0),
        ({"mid_stream": "raise"}, False, 0, 0),
        ({"commit_when": bool, "allow_empty": False, "attempts": 3, "wait": 1}, False, 0, 0),
        ({"on_event": print}, True, 0, 0),
        ({"wait": lambda failed: 0}, True, 0, 0),
        ({"complete_when": bool}, False, 1, 0),
        ({"mid_stream": "skip"}, True, 0, 0),
        ({"mid_stream": Skip(key=str)}, True, 0, 1),
        ({"mid_stream": "resume"}, True, 1, 0),
        ({"mid_stream": Resume(keep=5)}, True, 5, 0),
        ({"mid_stream": Resume(keep=None), "complete_when": bool}, True, None, 0),
        ({"mid_stream": Decide(len)}, True, 1, 0),
        ({"mid_stream": Decide(len, keep=3, key=str)}, True, 3, 1),
    ],
)
def test_only_what_is_asked_for_is_recorded(
    options: dict[str, Any],
    counts: bool,
    keep: int | None,
    key_count: int,
) -> None:
    """Each option asks for what it needs, and without any no item is looked at."""
    needs = needs_of(**options)
    assert (needs.counts, needs.keep, len(needs.keys)) == (counts, keep, key_count)
    assert bool(needs) == (counts or keep != 0)
    assert needs.covers(Needs())
    assert needs.covers(needs)


def test_needs_add_up() -> None:
    """Several sources' needs are met together, the larger of each."""
    needs = needs_of(mid_stream=Resume(keep=3))
    needs.add(Options(retry_on=OSError, mid_stream=Skip(key=str)))
    needs.add(Options(retry_on=OSError, mid_stream=Resume(keep=2)))
    assert (needs.counts, needs.keep, len(needs.keys)) == (True, 3, 1)
    needs.add(Options(retry_on=OSError, mid_stream=Resume(keep=None)))
    needs.add(Options(retry_on=OSError, mid_stream=Resume(keep=9)))
    assert needs.keep is None


@pytest.mark.parametrize(
    "more",
    [
        {"complete_when": bool},
        {"mid_stream": "skip"},
        {"mid_stream": Skip(key=str)},
        {"mid_stream": Resume(keep=2)},
        {"mid_stream": Resume(keep=None)},
    ],
)
def test_less_does_not_cover_more(more: dict[str, Any]) -> None:
    """What was not recorded is known to be missing."""
    assert not Needs().covers(needs_of(**more))
    assert needs_of(**more).covers(needs_of(**more))
    assert needs_of(mid_stream=Resume(keep=None)).covers(needs_of(mid_stream=Resume(keep=7)))
    assert not needs_of(mid_stream=Resume(keep=7)).covers(needs_of(mid_stream=Resume(keep=None)))


@pytest.mark.parametrize("told", [{"on_event": print}, {"wait": lambda failed: 0}])
def test_a_count_that_is_only_told_is_not_missing(told: dict[str, Any]) -> None:
    """A listener and a callable `wait` are told `None` where nobody has counted."""
    assert Needs().covers(needs_of(**told))
    assert not needs_of(**told).covers(needs_of(complete_when=bool))


def digest_in(record: Record) -> bytes:
    """The one digest that a record keeps."""
    [digest] = record.digests.values()
    return digest.digest()


MARK = Takeover("restart", "b", OSError(), 1)


def test_items_are_counted_and_markers_are_not() -> None:
    """Count, last items and digests hold what was delivered; a marker is no item."""
    record = Record(needs_of(mid_stream=Decide(len, keep=2, key=str)), None)
    for item in ("a", MARK, "b", "c"):
        record.deliver(item)
    assert not record.any  # an attempt that commits says so, not each item
    assert (record.count, record.before, record.delivered) == (3, 0, 3)
    assert record.items == deque(["b", "c"])
    assert digest_in(record) == digest_of(["a", "b", "c"])


def test_after_a_restart_the_items_start_over() -> None:
    """A restart forgets what was delivered but how much it was in all."""
    record = Record(needs_of(mid_stream=Decide(len, keep=2, key=str)), None)
    record.any = True
    for item in ("a", "b"):
        record.deliver(item)
    record.restart()
    assert (record.count, record.before, record.delivered) == (0, 2, 2)
    assert not record.items
    assert digest_in(record) == digest_of([])
    assert record.any
    record.deliver("x")
    assert record.progress(0, (), 1, start_over=False) == Progress(delivered=1, last="x", total=3)


def test_the_count_is_none_where_nobody_asked() -> None:
    """Without a reader the delivered count is not known, and says so."""
    assert Record(Needs(), None).delivered is None
    assert Record(needs_of(complete_when=bool), None).delivered is None
    assert Record(needs_of(on_event=print), None).delivered == 0


@pytest.mark.parametrize(
    ("keep", "items"),
    [(0, ()), (1, ("c",)), (2, ("b", "c")), (9, ("a", "b", "c")), (None, ("a", "b", "c"))],
)
def test_a_progress_holds_as_many_items_as_were_asked_for(
    keep: int | None, items: tuple[str, ...]
) -> None:
    """`keep` items at most, oldest first; the count, the last one and the failures always."""
    record = Record(needs_of(mid_stream=Resume(keep=None)), None)
    for item in ("a", "b", "c"):
        record.deliver(item)
    failures = [Failed("a", 1, 3, 0.0, OSError(), 1, 1, None)]
    assert record.progress(keep, iter(failures), 2, start_over=False) == Progress(
        delivered=3, last="c", items=items, total=3, failures=tuple(failures), attempt=2
    )
    assert record.progress(keep, failures, 2, start_over=True) == Progress(
        total=3, failures=tuple(failures), attempt=2
    )


def test_a_progress_at_the_start_is_the_empty_one() -> None:
    """The first opening is told `Progress()`: from the start."""
    record = Record(needs_of(mid_stream="resume"), None)
    assert record.progress(0, (), 1, start_over=False) == Progress()


@pytest.mark.parametrize(
    ("seed", "items"),
    [
        (Progress(delivered=2, last="b", total=5), ["b"]),
        (Progress(delivered=2, last="b", items=("a", "b"), total=5), ["a", "b"]),
        (Progress(delivered=0, total=5), []),
        (Progress(delivered=1, last=None, total=5), [None]),
    ],
)
def test_a_stream_inside_goes_on_from_where_it_is(seed: Progress[Any], items: list[Any]) -> None:
    """A record that starts at a `Progress` knows what that one knows."""
    record = Record(needs_of(mid_stream=Resume(keep=2)), seed)
    assert (record.count, record.delivered, list(record.items)) == (seed.delivered, 5, items)
    assert record.any
    assert not Record(needs_of(mid_stream="resume"), Progress()).any


def test_needs_grow_until_something_was_delivered() -> None:
    """What a later source of a lazy iterable needs is recorded, while it can still be known."""
    record = Record(needs_of(complete_when=bool), None)
    assert record.widen(needs_of(complete_when=bool))
    assert record.widen(needs_of(mid_stream=Skip(key=str)))
    record.any = True
    record.deliver("a")
    assert digest_in(record) == digest_of(["a"])
    assert record.widen(needs_of(mid_stream=Skip(key=str)))
    assert not record.widen(needs_of(mid_stream=Skip(key=repr)))
    assert not record.widen(needs_of(mid_stream=Resume(keep=2)))


def test_growing_needs_keep_what_was_needed_before() -> None:
    """A source that needs more, and itself less of the rest, takes nothing from the others."""
    record = Record(needs_of(complete_when=bool), None)
    record.widen(needs_of(mid_stream=Skip(key=str)))
    record.deliver("a")
    assert list(record.items) == ["a"]


def test_a_lazy_source_that_needs_less_harms_no_other() -> None:
    """`complete_when` of the stream is still met after a source that has none and skips."""

    def dead() -> Iterator[str]:
        raise ConnectionError("refused")
        yield

    def good() -> Iterator[str]:
        yield "end"

    factories: list[Callable[[], Iterator[str]] | Source[Iterator[str]]] = [
        dead,
        Source(dead, complete_when=None, mid_stream=Skip(key=str)),
        good,
    ]
    policy = Policy(retry_on=OSError, complete_when=lambda item: item == "end")
    assert list(policy.stream(iter(factories))) == ["end"]


def opens(progress: object = None) -> Iterator[str]:
    yield ""


def test_the_needs_of_a_list_are_those_of_all_its_sources() -> None:
    """The options of the stream, of each source, and of streams inside at any depth add up."""
    deepest = Policy(retry_on=OSError, mid_stream=Skip(key=str)).source([opens])
    inner = Policy(retry_on=OSError).source([deepest, Source(opens, mid_stream=Resume(keep=4))])
    options = Options(retry_on=OSError)
    factories: list[Any] = [opens, Source(opens, complete_when=bool), inner]
    entries = read_factories(factories, "sync", options)
    assert isinstance(entries, tuple)
    assert not Needs.of(options, entries[:1], counts=False)
    needs = Needs.of(options, entries[:2], counts=False)
    assert (needs.counts, needs.keep, len(needs.keys)) == (False, 1, 0)
    needs = Needs.of(options, entries, counts=False)
    assert (needs.counts, needs.keep, len(needs.keys)) == (True, 4, 1)
    assert Needs.of(options, entries[:1], counts=True).counts


def test_needs_are_joined() -> None:
    """Two needs together ask for the larger of each, and leave the other as it was."""
    one, other = needs_of(mid_stream=Skip(key=str)), needs_of(mid_stream=Resume(keep=3))
    both = one.joined(other)
    assert (both.counts, both.keep, len(both.keys)) == (True, 3, 1)
    assert (one.counts, one.keep, len(one.keys)) == (True, 0, 1)
    assert (other.counts, other.keep, len(other.keys)) == (True, 3, 0)
    assert both.joined(needs_of(mid_stream=Resume(keep=None))).keep is None
    counted = needs_of(complete_when=bool).joined(needs_of(on_event=print))
    assert (counted.counts, counted.keep) == (True, 1)


class Rows:
    """Items with a method as their key: a bound method is made anew at each access."""

    def key(self, item: Any) -> str:
        return str(item)


def test_a_method_is_one_key() -> None:
    """The same method of the same object is the same key, of another object another one."""
    rows, others = Rows(), Rows()
    needs = needs_of(mid_stream=Skip(key=rows.key))
    assert needs.covers(needs_of(mid_stream=Skip(key=rows.key)))
    assert not needs.covers(needs_of(mid_stream=Skip(key=others.key)))


def test_a_fork_goes_on_by_itself() -> None:
    """A copy knows what was delivered, and what either delivers later is not the other's."""
    record = Record(needs_of(mid_stream=Decide(len, keep=2, key=str)), None)
    record.any = True
    for item in ("x", "a"):
        record.deliver(item)
        if item == "x":
            record.restart()
    fork = record.fork()
    record.deliver("b")
    fork.deliver("c")
    assert (fork.count, fork.before, fork.any) == (2, 1, True)
    assert (list(fork.items), list(record.items)) == (["a", "c"], ["a", "b"])
    assert digest_in(fork) == digest_of(["a", "c"])
    assert digest_in(record) == digest_of(["a", "b"])


def test_a_fork_of_what_is_not_recorded() -> None:
    """Where nothing is recorded, a copy says no more than that something was delivered."""
    record = Record(Needs(), None)
    record.any = True
    fork = record.fork()
    assert (fork.any, fork.count, fork.delivered, list(fork.items)) == (True, 0, None, [])
