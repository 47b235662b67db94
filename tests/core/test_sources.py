"""The entries of `factories`: checked, named, and read in their order before anything is called."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from itertools import count, cycle
from typing import Any

import pytest

from failover_iter import NoSources, Policy
from failover_iter._core.refusals import not_iterable, wrong_flavour
from failover_iter._core.sources import (
    Group,
    ResolvedSource,
    SourceQueue,
    name_of,
    read_factories,
    read_source,
)
from failover_iter._core.usage import is_usage_error
from failover_iter._mid_stream import Decide, Resume
from failover_iter._options import Options
from failover_iter._source import Source
from failover_iter._validation import shown
from support.play import named

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


# Blocking and async.


@pytest.mark.parametrize("wrap", [lambda f: f, partial, Source])
@pytest.mark.parametrize("factory", [opens_async, awaits])
def test_a_blocking_stream_refuses_async_factories(factory: Any, wrap: Any) -> None:
    """The message names the function to use for an async source."""
    message = f"source '{factory.__name__}' is async: use afailover_stream (or Policy.astream)"
    with pytest.raises(TypeError, match="^" + re.escape(message)) as caught:
        read_source(wrap(factory), 0, "sync", OPTIONS)
    assert is_usage_error(caught.value)
    assert read_source(wrap(factory), 0, "async", OPTIONS).name == factory.__name__
    assert read_source(wrap(factory), 0, None, OPTIONS).name == factory.__name__


@pytest.mark.parametrize("factory", [opens, Table().rows, Table.of_class, Table.static])
def test_an_async_stream_refuses_generator_functions(factory: Any) -> None:
    """The message names the function to use for a blocking source."""
    message = f"source '{factory.__name__}' is sync: use failover_stream (or Policy.stream)"
    with pytest.raises(TypeError, match="^" + re.escape(message)) as caught:
        read_source(factory, 0, "async", OPTIONS)
    assert is_usage_error(caught.value)
    assert read_source(factory, 0, "sync", OPTIONS).name == factory.__name__


def test_a_group_of_the_wrong_flavour_is_refused() -> None:
    """Its known sources are checked by the stream that it is given to, at any depth."""
    policy = Policy(retry_on=OSError)
    for group in (policy.source([opens]), policy.source([policy.source([opens])])):
        assert read_source(group, 0, "sync", OPTIONS).group is not None
        with pytest.raises(TypeError, match="^source 'opens' is sync: use failover_stream"):
            read_source(group, 0, "async", OPTIONS)


@pytest.mark.parametrize(
    ("flavour", "use"), [("sync", "afailover_stream"), ("async", "use failover_stream")]
)
def test_the_error_of_a_wrong_flavour(flavour: Any, use: str) -> None:
    """It is a `TypeError` and a wrong use, for both kinds of streams."""
    error = wrong_flavour("a", flavour)
    assert type(error) is TypeError
    assert use in str(error)
    assert is_usage_error(error)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("iterable", "is not iterable"), ("async iterable", "is not an async iterable")],
)
def test_the_error_of_a_result_that_is_not_iterable(kind: str, words: str) -> None:
    """It begins as Python's own, and names the source."""
    error = not_iterable("a", kind, 5)
    assert str(error) == (
        f"'int' object {words}: the factory of source 'a' must return an {kind}, got 5"
    )


# Parameters.


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


# Groups.


def test_a_group_is_never_called() -> None:
    """It takes no arguments in any mode: the stream that it is given to opens its sources."""
    source = Policy(retry_on=OSError, mid_stream="resume").source([resumes])
    for options in (OPTIONS, RESUMING):
        assert read_source(source, 0, "sync", options).name == "resumes"
    with pytest.raises(TypeError, match="^a Policy.source cannot be called: pass it to a stream"):
        source.factory()  # type: ignore[call-arg]


@pytest.mark.parametrize("inner", [None, "restart", "raise", "skip"])
def test_groups_that_cannot_go_on_are_refused(inner: Any) -> None:
    """Under an outer stream that resumes, a group that would start over is a wrong use."""
    source = Policy(retry_on=OSError, mid_stream=inner).source([opens])
    shown = "'restart' (not set)" if inner is None else repr(inner)
    message = (
        f"source 'opens' is a Policy.source with mid_stream={shown}: under an outer stream that "
        "resumes, its policy needs mid_stream='resume' or a Decide"
    )
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$") as caught:
        read_source(source, 0, "sync", RESUMING)
    assert is_usage_error(caught.value)
    assert read_source(source, 0, "sync", OPTIONS).group is not None


def test_groups_that_can_go_on_pass() -> None:
    """So do those with `Resume` or `Decide`, groups of groups, and lazy iterables."""
    inner = Policy(retry_on=OSError, mid_stream="resume").source([resumes])
    for source in (
        inner,
        Policy(retry_on=OSError).source([inner]),
        Policy(retry_on=OSError, mid_stream=Decide(lambda progress: "resume")).source([resumes]),
        Policy(retry_on=OSError).source({opens: "read when opened"}),
    ):
        read = read_source(source, 0, "sync", RESUMING)
        assert (read.group is not None, read.resumable) == (True, False)


# The sources of one stream, in their order.


def queue_of(factories: Iterable[Any]) -> SourceQueue:
    return SourceQueue(read_factories(factories, "sync", OPTIONS), "sync", OPTIONS)


def take(queue: SourceQueue) -> ResolvedSource:
    source = queue.next()
    assert source is not None
    return source


def test_the_sources_of_a_list_are_known() -> None:
    """They come in the order of the list, then none."""
    queue = queue_of([named("a"), named("b")])
    assert not queue.lazy
    assert [source.name for source in queue.known] == ["a", "b"]
    assert [take(queue).name, take(queue).name, queue.next()] == ["a", "b", None]


def test_a_lazy_iterable_is_read_one_by_one() -> None:
    """One factory is read for each source, and none is known before."""
    read: list[str] = []

    def factories() -> Iterator[Any]:
        for name in ("a", "b"):
            read.append(name)
            yield named(name)

    queue = queue_of(factories())
    assert (queue.lazy, queue.known, read) == (True, (), [])
    assert (take(queue).name, read) == ("a", ["a"])
    assert (take(queue).name, queue.next(), read) == ("b", None, ["a", "b"])


def test_unnamed_sources_are_numbered() -> None:
    """A lambda has its position, in a list and in a lazy iterable."""
    lambdas: list[Any] = [lambda: [1], lambda: [2]]
    for factories in (lambdas, iter(lambdas)):
        queue = queue_of(factories)
        assert [take(queue).name, take(queue).name] == ["source[0]", "source[1]"]


@pytest.mark.parametrize("wrong", [5, lambda table: table])
def test_a_wrong_entry_is_a_wrong_use(wrong: object) -> None:
    """It fails when it is reached, with its position, and is not a failure of a source."""
    queue = queue_of(iter([named("a"), wrong]))
    queue.next()
    with pytest.raises(TypeError, match=r"^(source ')?source\[1\]'? must be ") as caught:
        queue.next()
    assert is_usage_error(caught.value)


def test_an_error_of_the_iterable_is_not_a_wrong_use() -> None:
    """An iterable of factories may raise what it likes."""

    def factories() -> Iterator[Any]:
        raise ValueError("no list of mirrors")
        yield

    with pytest.raises(ValueError, match="no list of mirrors") as caught:
        queue_of(factories()).next()
    assert not is_usage_error(caught.value)


def test_sources_that_were_opened_before() -> None:
    """A source was opened before if the same factory was left before, at any position."""
    a, b, c = (named(name) for name in "abc")
    queue = queue_of([a, b, a, c])
    one, two, again, other = (take(queue) for _ in range(4))
    assert not queue.opened_before(two, left=one)
    assert queue.opened_before(again, left=two)
    assert not queue.opened_before(other, left=again)


def test_64_sources_are_remembered() -> None:
    """Of an endless number of sources, the last 64 that were left are known again."""
    factories = [named(f"{number}") for number in range(66)]
    queue = queue_of(factories)
    sources = [take(queue) for _ in factories]
    for index in range(64):
        assert not queue.opened_before(sources[index + 1], left=sources[index])
    assert queue.opened_before(sources[0], left=sources[63])
    assert not queue.opened_before(sources[0], left=sources[64])
    assert queue.opened_before(sources[1], left=sources[64])


def test_a_method_is_one_source() -> None:
    """The same method of the same object is the same source, though it is a new object."""

    class Client:
        def rows(self) -> list[int]:
            return []

    client, spare = Client(), Client()
    queue = queue_of([client.rows, spare.rows, client.rows])
    one, other, again = (take(queue) for _ in range(3))
    assert not queue.opened_before(other, left=one)
    assert queue.opened_before(again, left=other)


# Names.


def same(name: str, count: int) -> list[Any]:
    return [named(name) for _ in range(count)]


def names_in(queue: SourceQueue, count: int) -> list[str]:
    return [take(queue).name for _ in range(count)]


@pytest.mark.parametrize("of", [list, iter])
def test_sources_of_the_same_name_get_a_number(of: Callable[..., Any]) -> None:
    """Other names, and names that a `Source` sets, are numbered for themselves."""
    a, b, c = same("chunks", 3)
    factories = [a, named("rows"), Source(b), Source(named("x"), name="rows"), c]
    assert names_in(queue_of(of(factories)), 5) == [
        "chunks",
        "rows",
        "chunks#2",
        "rows#2",
        "chunks#3",
    ]


def test_the_same_factory_is_the_same_source() -> None:
    """It keeps its name wherever it appears: an endless cycle has two names."""
    a, b = same("chunks", 2)
    assert names_in(queue_of(cycle([a, b])), 5) == ["chunks", "chunks#2"] * 2 + ["chunks"]
    assert names_in(queue_of([a, a, b]), 3) == ["chunks", "chunks", "chunks#2"]
    twice: list[Any] = [Source(a, name="x"), Source(a, name="y")]
    assert names_in(queue_of(twice), 2) == ["x", "y"]


def test_names_of_an_endless_supply_are_told_apart() -> None:
    """Only the last 64 are remembered, and no number repeats."""
    queue = queue_of(named("new") for _ in count())
    names = names_in(queue, 200)
    assert names == ["new", *(f"new#{number}" for number in range(2, 201))]
    assert queue._names is not None
    assert len(queue._names._numbers) == 64


def test_the_names_of_a_group() -> None:
    """They are the same at each opening, and the group is named after them."""
    group = Policy(retry_on=OSError).source(same("chunks", 2))
    assert group.name == "chunks|chunks#2"
    assert isinstance(group.factory, Group)
    for _ in range(2):
        queue = SourceQueue(group.factory.factories, "sync", OPTIONS)
        assert names_in(queue, 2) == ["chunks", "chunks#2"]


def test_a_list_may_be_used_again() -> None:
    """The names are those of the stream: nothing is written to the factories."""
    factories = same("chunks", 2)
    for _ in range(2):
        assert names_in(queue_of(factories), 2) == ["chunks", "chunks#2"]
