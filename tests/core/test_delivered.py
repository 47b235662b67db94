"""The record of a stream: how much it delivered, and the items and digests that options need."""

from __future__ import annotations

from collections import deque
from itertools import compress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_iter import Decide, Failed, Policy, Progress, Resume, Skip, Source
from failover_iter._core.delivered import Delivered
from failover_iter._core.digest import new_digest, update_digest
from failover_iter._core.usage import is_usage_error
from failover_iter._options import Options
from support.play import Play

Key = str | bytes | int
keys = st.one_of(
    st.text("ab", max_size=3), st.binary(max_size=2), st.integers(-9, 9), st.booleans()
)
sequences = st.lists(keys, max_size=4)


def digest_of(sequence: list[Any]) -> bytes:
    digest = new_digest()
    for key in sequence:
        update_digest(digest, lambda item: item, key)
    return digest.digest()


def kind(key: Key) -> type:
    return next(each for each in (str, bytes, int) if isinstance(key, each))


def alike(one: list[Key], other: list[Key]) -> bool:
    """Whether the keys are the same, and of the same kinds (True is the int 1)."""
    return one == other and [*map(kind, one)] == [*map(kind, other)]


@given(sequences, sequences)
def test_other_keys_have_another_digest(one: list[Key], other: list[Key]) -> None:
    """Two sequences of keys have the same digest exactly if they are the same sequence."""
    assert (digest_of(one) == digest_of(other)) == alike(one, other)


@given(sequences, st.data())
def test_keys_that_are_cut_elsewhere_have_another_digest(
    one: list[Key], data: st.DataObject
) -> None:
    """The same text in other pieces, or of another type, is another sequence."""
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
def test_sequences_that_must_differ(one: list[Any], other: list[Any]) -> None:
    """Cuts, types, signs and the tags themselves make a difference."""
    assert digest_of(one) != digest_of(other)


def test_equal_keys_are_equal() -> None:
    """True is the int 1, and a str of a subclass is the str that it equals."""

    class Name(str):
        __slots__ = ()

    assert digest_of([True, False]) == digest_of([1, 0])
    assert digest_of([Name("a")]) == digest_of(["a"])


@pytest.mark.parametrize("key", [None, 1.5, ("a",), bytearray(b"a")])
def test_keys_of_other_types_are_refused(key: object) -> None:
    """A key of another type is a TypeError that says which types are allowed."""
    message = "^the function of key must return a str, bytes or int, got "
    with pytest.raises(TypeError, match=message) as caught:
        digest_of([key])
    assert is_usage_error(caught.value)


def test_a_key_function_that_raises_stop_iteration() -> None:
    """It is PEP 479's `RuntimeError`, not the end of the source."""
    with pytest.raises(RuntimeError, match="^the function of key raised StopIteration$"):
        update_digest(new_digest(), lambda item: next(iter(())), "a")


# The needs of the options.


def delivered_for(*all_options: dict[str, Any]) -> Delivered:
    """A record that is prepared for each of these options."""
    delivered = Delivered()
    for options in all_options:
        assert prepare(delivered, **options)
    return delivered


def prepare(delivered: Delivered, **options: Any) -> bool:
    return delivered.prepare_for(Options(**{"retry_on": OSError, **options}))


def deliver(delivered: Delivered, *items: Any) -> None:
    delivered.has_delivered = True
    for item in items:
        delivered.note(item)


def digest_in(delivered: Delivered) -> bytes:
    """The one digest that is kept."""
    [measure] = (delivered.measures or {}).values()
    assert measure.digest is not None
    return measure.digest.digest()


EVERYTHING = {"mid_stream": Decide(len, keep=2, key=str)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "keep", "key_count"),
    [
        ({}, 0, 0),
        ({"mid_stream": "raise"}, 0, 0),
        ({"commit_when": bool, "allow_empty": False, "attempts": 3, "wait": 1}, 0, 0),
        ({"on_event": print, "wait": lambda failed: 0}, 0, 0),
        ({"complete_when": bool}, 1, 0),
        ({"mid_stream": "skip"}, 0, 0),
        ({"mid_stream": Skip(key=str)}, 0, 1),
        ({"mid_stream": "resume"}, 1, 0),
        ({"mid_stream": Resume(keep=5)}, 5, 0),
        ({"mid_stream": Resume(keep=None), "complete_when": bool}, None, 0),
        ({"mid_stream": Decide(len)}, 1, 0),
        ({"mid_stream": Decide(len, keep=3, key=str)}, 3, 1),
    ],
)
def test_nothing_is_kept_that_no_option_needs(
    options: dict[str, Any], keep: int | None, key_count: int
) -> None:
    """Each option has its needs; without them nothing is called per item."""
    delivered = delivered_for(options)
    assert (delivered.keep, len(delivered.measures or {})) == (keep, key_count)
    assert (delivered.on_item is None) == (keep == key_count == 0)
    assert (delivered.on_item == delivered.items.append) == (keep != 0 and not key_count)


def test_needs_add_up() -> None:
    """Several sources have the larger of their needs, in any order."""
    skip, three, two = Skip(key=str), Resume(keep=3), Resume(keep=2)
    for modes in ([three, skip, two], [two, three, skip], [skip, two, three]):
        delivered = delivered_for(*({"mid_stream": mode} for mode in modes))
        assert (delivered.keep, len(delivered.measures or {})) == (3, 1)
    for modes in ([Resume(keep=None), Resume(keep=9)], [Resume(keep=9), Resume(keep=None)]):
        assert delivered_for(*({"mid_stream": mode} for mode in modes)).keep is None


@pytest.mark.parametrize(
    "more",
    [
        {"complete_when": bool},
        {"mid_stream": Skip(key=str)},
        {"mid_stream": Resume(keep=2)},
        {"mid_stream": Resume(keep=None)},
    ],
)
def test_needs_grow_until_an_item_is_delivered(more: dict[str, Any]) -> None:
    """Later it is too late for what was not kept, and only for that."""
    delivered = delivered_for({}, more)
    deliver(delivered, "a")
    assert prepare(delivered, **more)
    assert prepare(delivered, on_event=print, wait=lambda failed: 0, mid_stream="skip")
    late = Delivered()
    deliver(late, "a")
    assert not prepare(late, **more)
    assert (late.keep, late.measures) == (0, None)


def test_what_is_kept_covers_less_but_not_more() -> None:
    """All items cover seven of them, seven do not cover all, one key does not cover another."""
    everything, seven, key = (
        delivered_for({"mid_stream": mode})
        for mode in (Resume(keep=None), Resume(keep=7), Skip(key=str))
    )
    for delivered in (everything, seven, key):
        deliver(delivered, "a")
    assert prepare(everything, mid_stream=Resume(keep=7))
    assert not prepare(seven, mid_stream=Resume(keep=None))
    assert not prepare(key, mid_stream=Skip(key=repr))


class Rows:
    """Items with a method as their key: a bound method is made anew at each access."""

    def key(self, item: Any) -> str:
        return str(item)


def test_a_method_is_one_key() -> None:
    """The same method of the same object is the same key; of another object, another one."""
    rows, others = Rows(), Rows()
    delivered = delivered_for({"mid_stream": Skip(key=rows.key)})
    deliver(delivered, "a")
    assert prepare(delivered, mid_stream=Skip(key=rows.key))
    assert not prepare(delivered, mid_stream=Skip(key=others.key))


def opens(progress: object = None) -> list[str]:
    return [""]


def test_a_stream_keeps_what_all_its_sources_need() -> None:
    """The needs of the stream, of each source, and of groups at any depth add up."""
    deepest = Policy(retry_on=OSError, mid_stream=Skip(key=str)).source([opens])
    inner = Policy(retry_on=OSError).source([deepest, Source(opens, mid_stream=Resume(keep=4))])
    factories: list[Any] = [opens, Source(opens, complete_when=bool), inner]
    needs = []
    for count in (1, 2, 3):
        delivered = Play(factories[:count]).run.delivered
        needs.append((delivered.keep, len(delivered.measures or {})))
    assert needs == [(0, 0), (1, 0), (4, 1)]


# The record.


def test_items_are_counted_kept_and_digested() -> None:
    """Count, last items and digest are those of what was delivered."""
    delivered = delivered_for(EVERYTHING)
    deliver(delivered, "a", "b", "c")
    assert (delivered.count, delivered.before, delivered.total) == (3, 0, 3)
    assert delivered.items == deque(["b", "c"])
    assert digest_in(delivered) == digest_of(["a", "b", "c"])


@given(st.lists(st.integers(0, 5), max_size=5))
def test_items_that_draw_from_left_count_as_well(sizes: list[int]) -> None:
    """`compress` counts in C, one by one otherwise; after a restart both start over."""
    delivered = Delivered()
    total = 0
    for size in sizes:
        assert list(compress(iter(range(size)), delivered.left)) == [*range(size)]
        deliver(delivered, "one more")
        total += size + 1
        assert (delivered.count, delivered.total) == (size + 1, total)
        delivered.restart()
    assert (delivered.count, delivered.total) == (0, total)


def test_the_items_start_over_after_a_restart() -> None:
    """A restart forgets what was delivered, except how much it was in all."""
    delivered = delivered_for(EVERYTHING)
    deliver(delivered, "a", "b")
    delivered.restart()
    assert (delivered.count, delivered.before, delivered.total) == (0, 2, 2)
    assert not delivered.items
    assert digest_in(delivered) == digest_of([])
    assert delivered.has_delivered
    deliver(delivered, "x")
    assert delivered.progress(0, (), 1, start_over=False) == Progress(
        delivered=1, last="x", total=3
    )


@pytest.mark.parametrize(
    ("keep", "items"),
    [(0, ()), (1, ("c",)), (2, ("b", "c")), (9, ("a", "b", "c")), (None, ("a", "b", "c"))],
)
def test_a_progress_holds_as_many_items_as_were_asked_for(
    keep: int | None, items: tuple[str, ...]
) -> None:
    """It has at most `keep` items, oldest first; and always the count, the last and failures."""
    delivered = delivered_for({"mid_stream": Resume(keep=None)})
    deliver(delivered, "a", "b", "c")
    failures = [Failed("a", 1, 3, 0.0, OSError(), 1, 1, None)]
    assert delivered.progress(keep, failures, 2, start_over=False) == Progress(
        delivered=3, last="c", items=items, total=3, failures=failures, attempt=2
    )
    assert delivered.progress(keep, failures, 2, start_over=True) == Progress(
        total=3, failures=failures, attempt=2
    )


def test_the_first_progress_is_the_empty_one() -> None:
    """The first opening gets `Progress()`: from the start."""
    delivered = delivered_for({"mid_stream": "resume"})
    assert delivered.progress(0, (), 1, start_over=False) == Progress()


@pytest.mark.parametrize(
    ("seed", "items"),
    [
        (Progress(delivered=2, last="b", total=5), ["b"]),
        (Progress(delivered=2, last="b", items=("a", "b"), total=5), ["a", "b"]),
        (Progress(delivered=0, total=5), []),
        (Progress(delivered=1, last=None, total=5), [None]),
    ],
)
def test_a_stream_goes_on_from_its_seed(seed: Progress[Any], items: list[Any]) -> None:
    """A record that starts with a `Progress` has its counts and items."""
    delivered = delivered_for({"mid_stream": Resume(keep=2)})
    delivered.go_on_from(seed)
    assert (delivered.count, delivered.total) == (seed.delivered, 5)
    assert list(delivered.items) == items
    assert delivered.has_delivered
    assert delivered.digestible == (seed.delivered == 0)
    empty = Delivered()
    empty.go_on_from(Progress())
    assert not empty.has_delivered


def test_streams_that_keep_nothing_share_nothing() -> None:
    """The container that they share stays empty, also after a seed."""
    one, other = Delivered(), Delivered()
    one.go_on_from(Progress(delivered=2, last="b", total=2))
    deliver(one, "a")
    assert (list(one.items), list(other.items)) == ([], [])
    assert other.count == 0


def test_a_lazy_source_with_smaller_needs_takes_nothing_from_the_others() -> None:
    """`complete_when` of the stream is met after a source without it that skips by key."""
    factories = [
        opens,
        Source(opens, complete_when=None, mid_stream=Skip(key=str)),
        opens,
    ]
    play = Play(iter(factories), complete_when=lambda item: item == "e")
    assert play.through("x x e.")[-1] == "return value"
