"""What stands in `factories`: read, named and checked before anything is called."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from failover_iter import NoSources, Policy
from failover_iter._core.sources import Entry, name_of, read_entry, read_factories, wrong_flavour
from failover_iter._mid_stream import Decide, Resume
from failover_iter._options import Options, Source
from failover_iter.errors import is_wrong_use

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

OPTIONS = Options(retry_on=OSError)
RESUMING = Options(retry_on=OSError, mid_stream="resume")


def opens() -> Iterator[int]:
    yield 1


def resumes(progress: Any) -> Iterator[int]:
    yield progress.delivered


def both(progress: Any = None) -> Iterator[int]:
    yield 1


async def opens_async() -> AsyncIterator[int]:
    yield 1


async def awaits() -> AsyncIterator[int]:
    return opens_async()


class Table:
    def __call__(self) -> Iterator[int]:
        return iter([1])

    def rows(self) -> Iterator[int]:
        yield 1

    def page(self, number: int) -> Iterator[int]:
        yield number

    @classmethod
    def of_class(cls) -> Iterator[int]:
        yield 1

    @staticmethod
    def static() -> Iterator[int]:
        yield 1


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
def test_sources_are_named_after_themselves(factory: object, name: str) -> None:
    """A source has the name of its function or class, or its place where that has none."""
    assert name_of(factory, 2) == name


def test_a_source_is_read_with_its_own_settings() -> None:
    """Name, ownership, own mode and own options of a `Source` are in its entry."""
    plain = read_entry(opens, 0, "sync", OPTIONS)
    assert (plain.factory, plain.name, plain.owned) == (opens, "opens", True)
    assert plain.options is OPTIONS
    entry = read_entry(Source(opens, name="a", close=False, attempts=3), 0, "sync", OPTIONS)
    assert (entry.name, entry.owned, entry.options.attempts) == ("a", False, 3)
    assert not entry.has_own_mode
    assert read_entry(Source(opens), 7, "sync", OPTIONS).name == "opens"


@pytest.mark.parametrize(
    ("mode", "own"),
    [("raise", True), (Decide(lambda progress: "raise"), True), ("skip", False)],
)
def test_which_sources_may_be_passed_over(mode: Any, own: bool) -> None:
    """A source that may say "raise" by itself is passed over alone, the stream goes on."""
    entry = read_entry(Source(both, mid_stream=mode), 0, "sync", OPTIONS)
    assert entry.has_own_mode is own


@pytest.mark.parametrize(
    ("mode", "resumable"),
    [(None, False), ("skip", False), ("resume", True), (Resume(keep=1), True)],
)
def test_which_sources_get_a_progress(mode: Any, resumable: bool) -> None:
    """Under "resume" a factory is called with a `Progress`, else without arguments."""
    options = Options(retry_on=OSError, mid_stream=mode)
    assert read_entry(both, 0, "sync", options).resumable is resumable


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_is_read_at_once(kind: Callable[..., Any]) -> None:
    """All of a list or tuple is read and checked at the call, in its order."""
    entries = read_factories(kind([opens, Source(both, name="b")]), "sync", OPTIONS)
    assert isinstance(entries, tuple)
    assert [entry.name for entry in entries] == ["opens", "b"]
    with pytest.raises(TypeError, match=r"^source\[1\] must be a factory .*, got 5: "):
        read_factories(kind([opens, 5]), "sync", OPTIONS)
    with pytest.raises(NoSources, match="^factories is empty: there must be at least one source$"):
        read_factories(kind([]), "sync", OPTIONS)


def test_a_lazy_iterable_is_not_pulled() -> None:
    """Of any other iterable nothing is read before it is needed."""

    def endless() -> Iterator[Any]:
        raise AssertionError("pulled")
        yield

    assert iter(read_factories(endless(), "sync", OPTIONS))
    assert iter(read_factories({opens: 1}, "sync", OPTIONS))


INTO_A_LIST = ": put the source into a list, [source], also when it is the only one"


@pytest.mark.parametrize(
    ("factories", "hint"),
    [
        (opens, INTO_A_LIST),
        (Source(opens), INTO_A_LIST),
        (Policy(retry_on=OSError).source([opens]), INTO_A_LIST),
        ("opens", INTO_A_LIST),
        (b"opens", INTO_A_LIST),
        (5, ""),
        (None, ""),
    ],
)
def test_what_is_no_iterable_of_factories(factories: Any, hint: str) -> None:
    """A factory alone, or anything else that is no iterable of them, is refused at the call."""
    expected = f"factories must be an iterable of factories, got {factories!r}{hint}"
    with pytest.raises(TypeError, match="^" + re.escape(expected) + "$") as caught:
        read_factories(factories, "sync", OPTIONS)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("wrap", [lambda f: f, partial, Source])
@pytest.mark.parametrize("factory", [opens_async, awaits])
def test_async_factories_do_not_go_into_a_blocking_stream(factory: Any, wrap: Any) -> None:
    """An async function is refused by the sync function, with the name of the one to use."""
    message = f"source '{factory.__name__}' is async: use afailover_stream (or Policy.astream)"
    with pytest.raises(TypeError, match="^" + re.escape(message)) as caught:
        read_entry(wrap(factory), 0, "sync", OPTIONS)
    assert is_wrong_use(caught.value)
    assert read_entry(wrap(factory), 0, "async", OPTIONS).name == factory.__name__
    assert read_entry(wrap(factory), 0, None, OPTIONS).name == factory.__name__


@pytest.mark.parametrize("factory", [opens, Table().rows, Table.of_class, Table.static])
def test_generator_functions_do_not_go_into_an_async_stream(factory: Any) -> None:
    """A generator function is refused by the async function, with the name of the one to use."""
    message = f"source '{factory.__name__}' is sync: use failover_stream (or Policy.stream)"
    with pytest.raises(TypeError, match="^" + re.escape(message)) as caught:
        read_entry(factory, 0, "async", OPTIONS)
    assert is_wrong_use(caught.value)
    assert read_entry(factory, 0, "sync", OPTIONS).name == factory.__name__


def test_wrong_flavour_names_the_other_function() -> None:
    """The error is a marked `TypeError` in both directions."""
    for flavour, use in (("sync", "afailover_stream"), ("async", "use failover_stream")):
        error = wrong_flavour("a", flavour)  # type: ignore[arg-type]
        assert type(error) is TypeError
        assert use in str(error)
        assert is_wrong_use(error)


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
    """A factory that cannot be called as it will be is no outage, but a wrong use."""
    message = r"^source '[^']+' must be callable without arguments, got .*functools\.partial"
    with pytest.raises(TypeError, match=message) as caught:
        read_entry(factory, 0, "sync", OPTIONS)
    assert is_wrong_use(caught.value)


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
def test_factories_that_need_none_pass(factory: Any) -> None:
    """Parameters with defaults, and what is bound already, are no obstacle."""
    assert read_entry(factory, 0, "sync", OPTIONS).factory is factory


@pytest.mark.parametrize("factory", [opens, keyword_only, lambda *, progress: [], Table().rows])
def test_factories_without_a_parameter_do_not_resume(factory: Any) -> None:
    """Under "resume" a factory that cannot take the `Progress` is refused at the call."""
    message = (
        r"^source '[^']+' must take one positional argument, the Progress, under "
        "mid_stream='resume', got <"
    )
    with pytest.raises(TypeError, match=message) as caught:
        read_entry(factory, 0, "sync", RESUMING)
    assert is_wrong_use(caught.value)


@pytest.mark.parametrize(
    "factory", [resumes, both, Table().page, lambda *args: [], dict, partial(resumes)]
)
def test_factories_that_take_a_progress_pass(factory: Any) -> None:
    """Whatever takes one positional argument resumes, also a builtin that does not tell."""
    assert read_entry(factory, 0, "sync", RESUMING).resumable


def test_nested_sources_are_not_asked_for_parameters() -> None:
    """A `Policy.source` is opened in a way of its own, under every mode."""
    source = Policy(retry_on=OSError, mid_stream="resume").source([resumes])
    for options in (OPTIONS, RESUMING):
        assert read_entry(source, 0, "sync", options).name == "resumes"


def test_an_entry_is_taken_as_it_is() -> None:
    """What `@failover` has made and checked itself is not read again."""
    entry = Entry(resumes, 3, RESUMING)
    assert read_entry(entry, 0, "sync", OPTIONS) is entry


@pytest.mark.parametrize("inner", [None, "restart", "raise", "skip"])
def test_nested_sources_that_cannot_go_on_are_refused(inner: Any) -> None:
    """Under a stream that resumes, a nested list that would start over is refused at the call."""
    source = Policy(retry_on=OSError, mid_stream=inner).source([opens])
    shown = "'restart' (not set)" if inner is None else repr(inner)
    message = (
        f"source 'opens' is a Policy.source with mid_stream={shown}: under a stream that resumes, "
        "give its policy mid_stream='resume' or a Decide"
    )
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$") as caught:
        read_entry(source, 0, "sync", RESUMING)
    assert is_wrong_use(caught.value)
    assert read_entry(source, 0, "sync", OPTIONS).nests


def test_nested_sources_that_can_go_on_pass() -> None:
    """`Resume`, `Decide` and what is nested once more are no obstacle; nor is a lazy iterable."""
    inner = Policy(retry_on=OSError, mid_stream="resume").source([resumes])
    for source in (
        inner,
        Policy(retry_on=OSError).source([inner]),
        Policy(retry_on=OSError, mid_stream=Decide(lambda progress: "resume")).source([resumes]),
        Policy(retry_on=OSError).source({opens: "read when opened"}),
    ):
        entry = read_entry(source, 0, "sync", RESUMING)
        assert (entry.nests, entry.resumable) == (True, False)
