"""The options: defaults, checks, immutability, and how a source overrides them."""

from __future__ import annotations

import operator
import pickle
import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from failover_iter import Policy, Trace, backoff, failover_stream
from failover_iter._core.sources import Group
from failover_iter._mid_stream import Decide, Progress, Resume, Skip
from failover_iter._options import Options
from failover_iter._source import Source, merged_options
from failover_iter._types import UNSET

if TYPE_CHECKING:
    from collections.abc import Callable

by_total = operator.attrgetter("total")


def opens() -> Iterator[int]:
    yield 1


async def coroutine(*_: object) -> None: ...


VALUES: list[Any] = [
    Progress(),
    Progress(delivered=2, last="b", items=("a", "b"), total=3, failures=(), attempt=2),
    Skip(),
    Skip(key=str),
    Resume(),
    Resume(keep=None),
    Decide(bool, keep=3, key=str),  # type: ignore[arg-type]  # picklable, and never called here
    Options(retry_on=OSError),
    Options(retry_on=(OSError, ValueError), mid_stream=Skip(key=str), wait=timedelta(seconds=1)),
    Source(opens),
    Source(
        opens,
        name="a",
        close=False,
        attempts=None,
        retry_on=OSError,
        switch_on=None,
        mid_stream="raise",
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_options_are_frozen_values(value: Any) -> None:
    """They compare and hash by value, and cannot be changed."""
    copied = replace(value)
    assert copied == value
    assert copied is not value
    assert hash(copied) == hash(value)
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)


def test_generic_values_may_be_built_with_their_item_type() -> None:
    """`Progress[int]()` equals `Progress()`, and `Source[...](f)` equals `Source(f)`."""
    assert Progress[int](delivered=2) == Progress(delivered=2)
    assert Source[Iterator[int]](opens) == Source(opens)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_options_travel(value: Any) -> None:
    """They can be pickled if their callables can, and options that were not given stay so."""
    copied = pickle.loads(pickle.dumps(value))
    assert copied == value
    assert repr(copied) == repr(value)


def test_the_defaults() -> None:
    """The defaults are those of the contract."""
    options = Options(retry_on=OSError)
    expected = {
        "retry_on": OSError,
        "switch_on": None,
        "mid_stream": None,
        "attempts": 1,
        "reset_on_progress": False,
        "wait": 0,
        "commit_when": 1,
        "complete_when": None,
        "allow_empty": True,
        "on_exhausted": "last",
        "on_event": None,
        "health": None,
        "budget": None,
        "checkpoint": None,
    }
    assert {name: getattr(options, name) for name in expected} == expected
    assert Progress() == Progress(delivered=0, last=None, items=(), total=0, failures=(), attempt=1)
    assert (Skip().key, Resume().keep) == (None, 0)
    assert (Decide(len).keep, Decide(len).key) == (0, None)  # type: ignore[arg-type]
    source = Source(opens)
    assert (source.name, source.close, source.abort, source.health_key) == (None, True, None, None)
    given = {"factory", "name", "close", "abort", "health_key"}
    own = {field.name for field in fields(source)} - given
    assert {getattr(source, name) for name in own} == {UNSET}
    assert repr(UNSET) == "UNSET"


@pytest.mark.parametrize(
    ("mid_stream", "strategy"),
    [
        (None, "restart"),
        ("restart", "restart"),
        ("raise", "raise"),
        ("skip", Skip()),
        ("resume", Resume()),
        (Skip(key=str), Skip(key=str)),
        (Resume(keep=2), Resume(keep=2)),
        (Decide(by_total), Decide(by_total)),
    ],
)
def test_each_mode_has_its_strategy(mid_stream: Any, strategy: object) -> None:
    """The words "skip" and "resume" become strategy objects; not set means "restart"."""
    assert Options(retry_on=OSError, mid_stream=mid_stream).strategy == strategy


@pytest.mark.parametrize(
    "given",
    [
        {"attempts": 3},
        {"attempts": None, "wait": 0.1},
        {"attempts": None, "wait": timedelta(seconds=1)},
        {"attempts": None, "wait": lambda failed: 1},
        {"reset_on_progress": True, "mid_stream": "skip"},
        {"reset_on_progress": True, "mid_stream": Resume()},
        {"reset_on_progress": True, "mid_stream": Decide(by_total)},
        {"reset_on_progress": True, "mid_stream": "restart"},
        {"reset_on_progress": True},
        {"commit_when": 3},
        {"commit_when": bool, "complete_when": bool},
        {"allow_empty": False, "on_exhausted": "group", "on_event": print},
    ],
)
def test_what_is_allowed_passes(given: dict[str, Any]) -> None:
    """Allowed values, also at their limits, are kept unchanged."""
    options = Options(retry_on=OSError, **given)
    assert {name: getattr(options, name) for name in given} == given


COUNT = "an int of at least 1"
COMMIT = f"{COUNT} or a function item -> bool"
PAUSE = "seconds, a timedelta or a function Failed -> seconds"
LISTENER = "a function event -> anything (seen.append, for example, or Trace()), or None"
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"retry_on": BaseException}, TypeError, "retry_on takes subclasses of Exception"),
    ({"mid_stream": "again"}, ValueError, "mid_stream must be 'restart', 'raise', 'skip' or"),
    ({"mid_stream": Skip}, TypeError, "mid_stream must be 'restart', 'raise', 'skip' or"),
    ({"mid_stream": []}, TypeError, "mid_stream must be 'restart', 'raise', 'skip' or 'resume'"),
    ({"attempts": 0}, ValueError, f"attempts must be {COUNT}, or None for no limit, got 0"),
    ({"attempts": True}, TypeError, f"attempts must be {COUNT}, or None for no limit, got True"),
    ({"attempts": 1.0}, TypeError, f"attempts must be {COUNT}, or None for no limit, got 1.0"),
    ({"reset_on_progress": 1}, TypeError, "reset_on_progress must be True or False, got 1"),
    ({"wait": -1}, ValueError, "wait must be finite and not negative, got -1"),
    ({"wait": False}, TypeError, f"wait must be {PAUSE} (0: no pause), got False"),
    ({"wait": 0j}, TypeError, f"wait must be {PAUSE} (0: no pause), got 0j"),
    (
        {"wait": coroutine},
        TypeError,
        f"wait must be {PAUSE} (0: no pause), and a plain function, got <function coroutine",
    ),
    (
        {"wait": backoff},
        TypeError,
        f"wait must be {PAUSE}, got the function backoff: call it, wait=backoff()",
    ),
    ({"commit_when": 0}, ValueError, f"commit_when must be {COMMIT}, got 0"),
    ({"commit_when": True}, TypeError, f"commit_when must be {COMMIT}, got True"),
    ({"commit_when": 1.0}, TypeError, f"commit_when must be {COMMIT}, got 1.0"),
    (
        {"commit_when": coroutine},
        TypeError,
        "commit_when must be a number of items or a function item -> bool, and a plain function, "
        "got <function coroutine",
    ),
    ({"complete_when": "end"}, TypeError, "complete_when must be a function item -> bool, or None"),
    ({"allow_empty": None}, TypeError, "allow_empty must be True or False, got None"),
    ({"on_exhausted": "all"}, ValueError, "on_exhausted must be 'last' or 'group', got 'all'"),
    ({"on_event": 5}, TypeError, f"on_event must be {LISTENER}, got 5"),
    (
        {"on_event": coroutine},
        TypeError,
        f"on_event must be {LISTENER}, and a plain function, got <func",
    ),
    (
        {"on_event": Trace},
        TypeError,
        f"on_event must be {LISTENER}, got the class {Trace!r}: pass an instance",
    ),
    (
        {"reset_on_progress": True, "mid_stream": "raise"},
        ValueError,
        "reset_on_progress=True works only with mid_stream='skip', 'resume' or a Decide, of the "
        "stream or of a source, got mid_stream='raise': in other modes an attempt repeats",
    ),
    *[
        ({"attempts": None, "wait": wait}, ValueError, "attempts=None would retry forever")
        for wait in (0, 0.0, timedelta(0))
    ],
]
#: The cases of a single option that a `Source` may set.
OF_A_SOURCE = [
    (given, error, message)
    for given, error, message in REFUSED
    if len(given) == 1 and not given.keys() & {"on_exhausted", "on_event"}
]


def ids(case: object) -> str | None:
    return ", ".join(f"{k}={v!r}"[:40] for k, v in case.items()) if type(case) is dict else ""


@pytest.mark.parametrize(("given", "error", "message"), REFUSED, ids=ids)
def test_wrong_options_are_refused(
    given: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Each wrong option fails at once, and the message names it and the allowed values."""
    with pytest.raises(error, match="^" + re.escape(message)) as caught:
        Options(**{"retry_on": OSError, **given})
    assert type(caught.value) is error


@pytest.mark.parametrize(("given", "error", "message"), OF_A_SOURCE, ids=ids)
def test_a_source_refuses_the_same(
    given: dict[str, Any], error: type[Exception], message: str
) -> None:
    """A wrong option of a `Source` fails with the same message, when the source is made."""
    with pytest.raises(error, match="^" + re.escape(message)):
        Source(opens, **given)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Source(5), TypeError, "Source(factory) must be a factory (a callable"),
        (lambda: Source(opens()), TypeError, "Source(factory) must be a factory, got the iterator"),
        (
            lambda: Source(Source(opens)),
            TypeError,
            "Source(factory) must be a factory, got a Source: ",
        ),
        (lambda: Source(opens, name=5), TypeError, "Source(name=...) must be a str or None, got 5"),
        (lambda: Source(opens, close=0), TypeError, "Source(close=...) must be True, False or"),
        (lambda: Skip(key=5), TypeError, "Skip(key=...) must be a function item -> str |"),
        (
            lambda: Skip(key=coroutine),
            TypeError,
            "Skip(key=...) must be a function item -> str | bytes | int, or None, and a plain func",
        ),
        (lambda: Resume(keep=-1), ValueError, "Resume(keep=...) must be an int of at least 0"),
        (lambda: Resume(keep=1.0), TypeError, "Resume(keep=...) must be an int of at least 0"),
        (lambda: Decide("skip"), TypeError, "Decide(fn) must be a function Progress -> mode, got"),
        (
            lambda: Decide(coroutine),
            TypeError,
            "Decide(fn) must be a function Progress -> mode, and a plain function, got <function",
        ),
        (lambda: Decide(len, keep=True), TypeError, "Decide(keep=...) must be an int of at least"),
        (lambda: Decide(len, key=5), TypeError, "Decide(key=...) must be a function item -> str"),
    ],
)
def test_wrong_strategies_and_sources_are_refused(
    build: Callable[[], object], error: type[Exception], message: str
) -> None:
    """The message names the wrong argument together with its class."""
    with pytest.raises(error, match="^" + re.escape(message)):
        build()


def test_a_changed_copy_is_checked_too() -> None:
    """`dataclasses.replace` checks the changed option, alone and combined with the others."""
    options = Options(retry_on=OSError, mid_stream="skip", reset_on_progress=True)
    assert replace(options, attempts=3).attempts == 3
    with pytest.raises(ValueError, match="^attempts must be"):
        replace(options, attempts=0)
    with pytest.raises(ValueError, match="^reset_on_progress=True works only with"):
        replace(options, mid_stream="raise")
    with pytest.raises(ValueError, match="^wait must be finite"):
        replace(Source(opens), wait=-1)


def test_a_source_overrides_what_it_was_given() -> None:
    """Options of a source apply to it; the others are those of the stream."""
    options = Options(retry_on=OSError, attempts=2, wait=1, complete_when=bool)
    assert merged_options(Source(opens, name="a", close=False), options) is options
    own = merged_options(
        Source(opens, attempts=None, complete_when=None, mid_stream="skip"), options
    )
    assert own == replace(options, attempts=None, complete_when=None, mid_stream="skip")


def test_derived_properties_follow_the_overrides() -> None:
    """A source that unsets the stream's timeouts and mode is neither timed nor watched."""
    options = Options(retry_on=OSError, mid_stream="skip", first_item_timeout=1, idle_timeout=1)
    source = Source(opens, mid_stream="restart", first_item_timeout=None, idle_timeout=None)
    own = merged_options(source, options)
    assert (options.strategy, options.is_timed) == (Skip(), True)
    assert (own.strategy, own.is_timed) == ("restart", False)


@pytest.mark.parametrize("mode", ["restart", "skip", "resume", Decide(by_total)])
def test_a_mode_that_cannot_take_effect(mode: Any) -> None:
    """If the stream has "raise", a source with another mode is refused."""
    options = Options(retry_on=OSError, mid_stream="raise")
    with pytest.raises(ValueError, match=r"of source 'a' can never take effect: .*'raise'"):
        merged_options(Source(opens, name="a", mid_stream=mode), options)
    assert merged_options(Source(opens, mid_stream="raise", attempts=2), options).attempts == 2


def test_combinations_are_checked_for_each_source() -> None:
    """Options of a source that exclude those of the stream are refused."""
    with pytest.raises(ValueError, match="^attempts=None would retry forever"):
        merged_options(Source(opens, attempts=None), Options(retry_on=OSError))
    with pytest.raises(ValueError, match="^reset_on_progress=True works only with"):
        failover_stream([Source(opens, reset_on_progress=True)], retry_on=OSError)


def test_a_nested_factory_is_not_called_by_hand() -> None:
    """The factory of a `Policy.source` says who opens it."""
    with pytest.raises(TypeError, match="^a Policy.source cannot be called"):
        Group(Options(retry_on=OSError), [opens])()


@pytest.mark.parametrize("mode", ["restart", "raise"])
def test_a_source_that_starts_over_counts_no_progress(mode: Any) -> None:
    """A source may start over, although the stream has `reset_on_progress`."""
    options = Options(retry_on=OSError, mid_stream="skip", reset_on_progress=True)
    assert merged_options(Source(opens, mid_stream=mode), options).reset_on_progress is False
    assert merged_options(Source(opens, mid_stream="resume"), options).reset_on_progress is True
    with pytest.raises(ValueError, match="^reset_on_progress=True works only with"):
        Policy(retry_on=OSError, mid_stream="skip").stream(
            [Source(opens, mid_stream=mode, reset_on_progress=True)]
        )


def test_a_policy_takes_no_other_attribute() -> None:
    """Setting a misspelt attribute is an error, not a new attribute."""
    policy: Any = Policy(retry_on=OSError)
    with pytest.raises(FrozenInstanceError):
        policy.atempts = 3
    with pytest.raises(FrozenInstanceError):
        policy.attempts = 3


def test_the_repr_names_the_policy() -> None:
    """The repr shows the public name of the class, and each option."""
    assert repr(Policy(retry_on=OSError)).startswith(
        "Policy(retry_on=<class 'OSError'>, switch_on=None, mid_stream"
    )
