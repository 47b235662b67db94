"""Each yes and no of the comparison page is checked against the library that it describes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from failover_iter import failover_stream
from support.needs import needs

tenacity = needs("tenacity")
stamina = needs("stamina")
reactivex = needs("reactivex")
google_retry = needs("google.api_core.retry")
runnables = needs("langchain_core.runnables")

PAGE = Path(__file__).parents[1] / "docs" / "comparison.md"
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("|") and not line.startswith("|--")
]
COLUMNS = TABLE[0][1:]

Factory = Callable[[], Iterable[Any]]


def ours(*sources: Factory) -> Iterator[Any]:
    return failover_stream(sources, retry_on=OSError, mid_stream="skip", allow_empty=False)


def one_by_one(sources: tuple[Factory, ...]) -> Callable[[], Iterator[Any]]:
    """One source for libraries that take only one: each opening opens the next of `sources`."""
    openings = iter(sources)

    def source() -> Iterator[Any]:
        yield from next(openings)()

    return source


def with_tenacity(*sources: Factory) -> Any:
    retry = tenacity.retry(
        stop=tenacity.stop_after_attempt(len(sources)),
        retry=tenacity.retry_if_exception_type(OSError),
        reraise=True,
    )
    return retry(one_by_one(sources))()


def with_stamina(*sources: Factory) -> Any:
    retry = stamina.retry(
        on=OSError, attempts=len(sources), wait_initial=0, wait_max=0, wait_jitter=0
    )
    return retry(one_by_one(sources))()


def with_google(*sources: Factory) -> Any:
    openings = iter(sources)
    retry = google_retry.StreamingRetry(
        google_retry.if_exception_type(OSError), initial=0, maximum=0, timeout=None
    )
    return retry(lambda: next(openings)())()


def with_langchain(*sources: Factory) -> Any:
    class Streaming(runnables.Runnable):  # type: ignore[misc,name-defined]
        def __init__(self, source: Factory) -> None:
            self.source = source

        def invoke(self, input: Any, config: Any = None, **_: Any) -> Any:  # noqa: A002
            raise NotImplementedError

        def stream(self, input: Any, config: Any = None, **_: Any) -> Any:  # noqa: A002
            return iter(self.source())

    first, *others = map(Streaming, sources)
    return first.with_fallbacks(others, exceptions_to_handle=(OSError,)).stream(None)


def with_reactivex(*sources: Factory) -> Iterator[Any]:
    observables = [
        reactivex.defer(lambda _, source=source: reactivex.from_iterable(source()))
        for source in sources
    ]
    items: list[Any] = []
    errors: list[Exception] = []
    reactivex.catch(*observables).subscribe(items.append, errors.append)
    yield from items
    if errors:
        raise errors[0]


PEERS = {
    "failover-iter": ours,
    "tenacity": with_tenacity,
    "stamina": with_stamina,
    "google-api-core": with_google,
    "langchain-core": with_langchain,
    "reactivex": with_reactivex,
}


class Closable:
    """A source like an SDK's response: an iterator with a `close` method that must be called."""

    def __init__(self, log: list[str], *items: Any, error: Exception | None = None) -> None:
        self.log, self.items, self.error = log, iter(items), error
        log.append("open")

    def __iter__(self) -> Closable:
        return self

    def __next__(self) -> Any:
        for item in self.items:
            return item
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self) -> None:
        self.log.append("close")


def failing(*items: Any) -> Factory:
    def source() -> Iterator[Any]:
        yield from items
        raise ConnectionError(f"reset after {len(items)}")

    return source


def good() -> Iterator[int]:
    yield from (1, 2)


def before_the_first(peer: Any) -> bool:
    return _taken(peer(failing(), good)) == [1, 2]


def after_an_item(peer: Any) -> bool:
    taken = _taken(peer(failing(1), good))
    return taken[-1] == 2


def each_once(peer: Any) -> bool:
    return _taken(peer(failing(1), good)) == [1, 2]


def closed_first(peer: Any) -> bool:
    log: list[str] = []
    error = ConnectionError("reset")
    _taken(peer(lambda: Closable(log, error=error), lambda: Closable(log, 1)))
    return log[:3] == ["open", "close", "open"]


def throw_opens_nothing(peer: Any) -> bool:
    opened: list[str] = []

    def second() -> Iterator[int]:
        opened.append("second")
        yield 2

    stream = peer(good, second)
    next(stream)
    try:
        stream.throw(ConnectionError("mine"))
    except ConnectionError:
        pass
    finally:
        stream.close()
    return not opened


def leaves_empty_source(peer: Any) -> bool:
    try:
        return _taken(peer(lambda: iter(()), good)) == [1, 2]
    except RuntimeError:  # the StopIteration of the empty source, PEP 479
        return False


def earlier_errors(peer: Any) -> bool:
    try:
        list(peer(failing(), failing()))
    except OSError as error:
        return bool(getattr(error, "__notes__", None)) or isinstance(error.__context__, OSError)
    raise AssertionError("no error came out")


def another_source(peer: Any) -> bool:
    return before_the_first(peer)


def _taken(stream: Iterator[Any]) -> list[Any]:
    """The items, and the error that ended them."""
    items: list[Any] = []
    try:
        for item in stream:
            items.append(item)
    except OSError as error:
        items.append(error)
    return items


QUESTIONS = {
    "survives a failure before the first item": before_the_first,
    "survives a failure after an item": after_an_item,
    "delivers each item once after such a failure": each_once,
    "closes the failed source before it opens the next one": closed_first,
    "opens nothing if the consumer throws an exception in": throw_opens_nothing,
    "can leave a source that yields nothing": leaves_empty_source,
    "keeps the earlier errors if all sources fail": earlier_errors,
    "switches to another source": another_source,
}
CELLS = [
    pytest.param(row[0], column, cell, id=f"{column}: {row[0]}")
    for row in TABLE[1:]
    for column, cell in zip(COLUMNS, row[1:], strict=True)
    if cell in ("yes", "no") and row[0] in QUESTIONS
]


def test_each_cell_is_backed() -> None:
    """Each cell is a tested yes or no, a link, or a dash; one cell is an exception."""
    unbacked = {
        (row[0], cell)
        for row in TABLE[1:]
        for cell in row[1:]
        if row[0] not in QUESTIONS and cell in ("yes", "no")
    }
    assert unbacked == {("supports async", "yes")}  # this library: tested by the rest of the suite
    links = re.compile(r"\[(yes|no)\]\(https://\S+\)")
    for row in TABLE[1:]:
        assert all(
            cell in ("yes", "no", "\N{EN DASH}") or links.fullmatch(cell) for cell in row[1:]
        )


@pytest.mark.parametrize(("question", "column", "cell"), CELLS)
def test_cell(question: str, column: str, cell: str) -> None:
    """The library does what the page says it does."""
    assert QUESTIONS[question](PEERS[column]) is (cell == "yes")
