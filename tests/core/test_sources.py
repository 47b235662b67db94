"""The entries of `factories`: checked and named before anything is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from core.factories import OPTIONS, RESUMING, Table, both, opens, queue_of, resumes, take
from failover_iter import NoSources, Policy
from failover_iter._core.sources import ResolvedSource, name_of, read_factories, read_source
from failover_iter._core.usage import is_usage_error
from failover_iter._mid_stream import Decide, Resume
from failover_iter._options import Options
from failover_iter._source import Source
from failover_iter._validation import shown


@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (opens, "opens"),
        (partial(partial(resumes, 1)), "resumes"),
        (Table, "Table"),
        (Table(), "Table"),
        (Table().rows, "rows"),
        (len, "len"),
        (lambda: [1], "source[2]"),
        (partial(lambda: [1]), "source[2]"),
    ],
)
def test_the_name_of_a_source(factory: object, name: str) -> None:
    """A source has the name of its function or class; a lambda has its position."""
    assert name_of(factory, 2) == name


def test_a_source_has_its_own_settings() -> None:
    """Name, `close` and options of a `Source` are in what is read of it."""
    plain = read_source(opens, 0, "sync", OPTIONS)
    assert (plain.factory, plain.name, plain.owned) == (opens, "opens", True)
    assert plain.options is OPTIONS
    source = read_source(Source(opens, name="a", close=False, attempts=3), 0, "sync", OPTIONS)
    assert (source.name, source.owned, source.options.attempts) == ("a", False, 3)
    assert (source.own, source.has_own_mode) == ({"attempts"}, False)
    assert read_source(Source(opens), 7, "sync", OPTIONS).name == "opens"
    assert read_source(Source(opens, complete_when=None), 0, "sync", OPTIONS).own == {
        "complete_when"
    }


@pytest.mark.parametrize(
    ("mode", "own"),
    [("raise", True), (Decide(lambda progress: "raise"), True), ("skip", False)],
)
def test_which_sources_may_be_passed_over(mode: Any, own: bool) -> None:
    """A source whose own mode may be "raise" is passed over alone, and the stream goes on."""
    source = read_source(Source(both, mid_stream=mode), 0, "sync", OPTIONS)
    assert source.has_own_mode is own


@pytest.mark.parametrize(
    ("mode", "resumable"),
    [(None, False), ("skip", False), ("resume", True), (Resume(keep=1), True)],
)
def test_which_sources_get_a_progress(mode: Any, resumable: bool) -> None:
    """Under "resume" a factory is called with a `Progress`, otherwise without arguments."""
    options = Options(retry_on=OSError, mid_stream=mode)
    assert read_source(both, 0, "sync", options).resumable is resumable


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_is_checked_at_the_call(kind: Callable[..., Any]) -> None:
    """All of a list or tuple is read and checked at once, in its order."""
    sources = read_factories(kind([opens, Source(both, name="b")]), "sync", OPTIONS)
    assert isinstance(sources, tuple)
    assert [source.name for source in sources] == ["opens", "b"]
    with pytest.raises(TypeError, match=r"^source\[1\] must be a factory .*, got 5: "):
        read_factories(kind([opens, 5]), "sync", OPTIONS)
    with pytest.raises(NoSources, match="^factories is empty: there must be at least one source$"):
        read_factories(kind([]), "sync", OPTIONS)


def test_a_lazy_iterable_is_not_pulled_at_the_call() -> None:
    """Nothing of any other iterable is read before it is needed."""

    def endless() -> Iterator[Any]:
        raise AssertionError("pulled")
        yield

    class Indexed:
        def __getitem__(self, index: int) -> Any:
            return [opens][index]

    assert iter(read_factories(endless(), "sync", OPTIONS))
    assert iter(read_factories({opens: 1}, "sync", OPTIONS))
    assert take(queue_of(Indexed())).name == "opens"  # type: ignore[arg-type]  # the old protocol


INTO_A_LIST = ": put the source into a list, [source], even if it is the only one"
OF_FUNCTIONS = ": pass a list of functions that open a stream, for example [lambda: read(url)]"


@pytest.mark.parametrize(
    ("factories", "hint"),
    [
        (opens, INTO_A_LIST),
        (Source(opens), INTO_A_LIST),
        (Policy(retry_on=OSError).source([opens]), INTO_A_LIST),
        ("opens", OF_FUNCTIONS),
        (b"opens", OF_FUNCTIONS),
        (5, ""),
        (None, ""),
    ],
)
def test_other_values_of_factories_are_refused(factories: Any, hint: str) -> None:
    """A factory alone, or anything else that is not an iterable of them, is a TypeError."""
    got = repr(factories) if isinstance(factories, Source) else shown(factories)
    expected = f"factories must be an iterable of factories, got {got}{hint}"
    with pytest.raises(TypeError, match="^" + re.escape(expected) + "$") as caught:
        read_factories(factories, "sync", OPTIONS)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


class Needy:
    """A class, and an object, that cannot be called without an argument."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, table: str) -> list[str]:
        return [self.url, table]


def keyword_only(*, table: str) -> list[str]:
    return [table]


@pytest.mark.parametrize(
    "factory",
    [
        resumes,
        lambda table: [table],
        Table().page,
        Table.page,
        keyword_only,
        partial(Table.page, Table()),
        Needy,
        Needy("url"),
    ],
)
def test_factories_that_need_arguments_are_refused(factory: Any) -> None:
    """A factory that cannot be called without arguments is a wrong use, not a failure."""
    message = r"^source '[^']+' must be callable without arguments, got .*functools\.partial"
    with pytest.raises(TypeError, match=message) as caught:
        read_source(factory, 0, "sync", OPTIONS)
    assert is_usage_error(caught.value)


@pytest.mark.parametrize(
    "factory",
    [
        both,
        lambda *args, **kwargs: [args, kwargs],
        lambda table="rows", *, key=None: [table, key],
        Table(),
        Table().rows,
        Table.of_class,
        Table.static,
        partial(resumes, 1),
        partial(keyword_only, table="rows"),
        dict,
        list,
    ],
)
def test_factories_that_need_no_arguments_pass(factory: Any) -> None:
    """Parameters with defaults, and bound ones, are accepted."""
    assert read_source(factory, 0, "sync", OPTIONS).factory is factory


@pytest.mark.parametrize("factory", [opens, keyword_only, lambda *, progress: [], Table().rows])
def test_factories_without_a_parameter_do_not_resume(factory: Any) -> None:
    """Under "resume" a factory that cannot take the `Progress` is refused at the call."""
    message = (
        r"^source '[^']+' must take one positional argument, the Progress, under "
        "mid_stream='resume', got <"
    )
    with pytest.raises(TypeError, match=message) as caught:
        read_source(factory, 0, "sync", RESUMING)
    assert is_usage_error(caught.value)


@pytest.mark.parametrize(
    "factory", [resumes, both, Table().page, lambda *args: [], dict, partial(resumes)]
)
def test_factories_that_take_a_progress_pass(factory: Any) -> None:
    """A factory with one positional argument resumes, as does a builtin without a signature."""
    assert read_source(factory, 0, "sync", RESUMING).resumable


def test_a_resolved_source_is_not_read_again() -> None:
    """`@failover` has made and checked it."""
    source = ResolvedSource(resumes, 3, RESUMING)
    assert read_source(source, 0, "sync", OPTIONS) is source
