"""Each yes and no of the comparison page is checked against the library that it describes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from traceback import format_exception
from typing import Any

import pytest

from failover_iter import failover_stream
from support.needs import needs, unless_installed

PAGE = Path(__file__).parents[1] / "docs" / "comparison.md"
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
    tenacity = needs("tenacity")
    retry = tenacity.retry(
        stop=tenacity.stop_after_attempt(len(sources)),
        retry=tenacity.retry_if_exception_type(OSError),
        reraise=True,
    )
    return retry(one_by_one(sources))()


def with_stamina(*sources: Factory) -> Any:
    retry = needs("stamina").retry(
        on=OSError, attempts=len(sources), wait_initial=0, wait_max=0, wait_jitter=0
    )
    return retry(one_by_one(sources))()


def with_backoff(*sources: Factory) -> Any:
    backoff = needs("backoff")
    retry = backoff.on_exception(
        backoff.constant, OSError, max_tries=len(sources), interval=0, jitter=None
    )
    return retry(one_by_one(sources))()


def with_google(*sources: Factory) -> Any:
    google_retry = needs("google.api_core.retry")
    openings = iter(sources)
    retry = google_retry.StreamingRetry(
        google_retry.if_exception_type(OSError), initial=0, maximum=0, timeout=None
    )
    return retry(lambda: next(openings)())()


def with_hyx(*sources: Factory) -> Any:
    openings = iter(sources)

    @needs("hyx.retry").retry(on=OSError, attempts=len(sources), backoff=0)
    async def source() -> AsyncIterator[Any]:
        return as_async(next(openings)())

    async def items() -> AsyncIterator[Any]:
        async for item in await source():
            yield item

    return blocking(items())


def with_langchain(*sources: Factory) -> Any:
    runnables = needs("langchain_core.runnables")

    class Streaming(runnables.Runnable):  # type: ignore[misc,name-defined]
        def __init__(self, source: Factory) -> None:
            self.source = source

        def invoke(self, input: Any, config: Any = None, **_: Any) -> Any:  # noqa: A002
            raise NotImplementedError

        def stream(self, input: Any, config: Any = None, **_: Any) -> Any:  # noqa: A002
            return iter(self.source())

    first, *others = map(Streaming, sources)
    return first.with_fallbacks(others, exceptions_to_handle=(OSError,)).stream(None)


def with_litellm(*sources: Factory) -> Any:
    litellm = needs("litellm")

    class Provider(litellm.CustomLLM):  # type: ignore[misc,name-defined]
        def __init__(self, source: Factory) -> None:
            super().__init__()
            self.source = source

        def astreaming(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            return Response(self.source(), litellm_chunk)

    names = [f"provider-{index}" for index in range(len(sources))]
    litellm.custom_provider_map = [
        {"provider": name, "custom_handler": Provider(source)}
        for name, source in zip(names, sources, strict=True)
    ]
    models = [{"model_name": name, "litellm_params": {"model": f"{name}/model"}} for name in names]
    router = litellm.Router(model_list=models, num_retries=0, fallbacks=[{names[0]: names[1:]}])

    async def items() -> AsyncIterator[Any]:
        asked = [{"role": "user", "content": "Count."}]
        async for chunk in await router.acompletion(names[0], messages=asked, stream=True):
            if chunk.choices[0].delta.content:
                yield int(chunk.choices[0].delta.content)

    return blocking(items())


def litellm_chunk(item: Any) -> dict[str, Any]:
    """The form of a chunk that LiteLLM reads."""
    chunk = {"text": str(item), "index": 0, "finish_reason": "", "is_finished": False}
    return chunk | {"tool_use": None, "usage": None}


def with_pydantic_ai(*sources: Factory) -> Any:
    messages = needs("pydantic_ai.messages")
    model = needs("pydantic_ai.models.function").FunctionModel
    models = [
        model(stream_function=lambda _, __, source=source: Response(source(), str))
        for source in sources
    ]
    fallback = needs("pydantic_ai.models.fallback").FallbackModel(*models, fallback_on=(OSError,))
    asked = [messages.ModelRequest.user_text_prompt("Count.")]

    async def items() -> AsyncIterator[Any]:
        async with needs("pydantic_ai.direct").model_request_stream(fallback, asked) as events:
            async for event in events:
                if isinstance(event, messages.PartStartEvent):
                    yield int(event.part.content)
                elif isinstance(event, messages.PartDeltaEvent):
                    yield int(event.delta.content_delta)

    return blocking(items())


def with_reactivex(*sources: Factory) -> Iterator[Any]:
    reactivex = needs("reactivex")
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


def with_aiostream(*sources: Factory) -> Any:
    """No operator of it catches an error; `chain` is the one that goes on with the next source."""
    chain = needs("aiostream").stream.chain

    async def items() -> AsyncIterator[Any]:
        async with chain(*(as_async(source()) for source in sources)).stream() as chained:
            async for item in chained:
                yield item

    return blocking(items())


async def as_async(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


class Response:
    """The response of an async client: an async iterator with `aclose`."""

    def __init__(self, items: Iterable[Any], form: Callable[[Any], Any]) -> None:
        self.items, self.form = iter(items), form

    def __aiter__(self) -> Response:
        return self

    async def __anext__(self) -> Any:
        for item in self.items:
            return self.form(item)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        getattr(self.items, "close", lambda: None)()


def blocking(items: Any) -> Iterator[Any]:
    """Pull an async generator from blocking code, and pass on what the consumer throws."""

    async def run(method: Callable[..., Any], *args: Any) -> Any:
        return await method(*args)

    with asyncio.Runner() as runner:
        try:
            item = runner.run(run(items.__anext__))
            while True:
                try:
                    yield item
                except Exception as error:
                    item = runner.run(run(items.athrow, error))
                else:
                    item = runner.run(run(items.__anext__))
        except StopAsyncIteration:
            return
        finally:
            runner.run(run(items.aclose))


#: How each library is used, and the module that it needs.
PEERS: dict[str, tuple[Any, str]] = {
    "failover-iter": (ours, "failover_iter"),
    "tenacity": (with_tenacity, "tenacity"),
    "stamina": (with_stamina, "stamina"),
    "backoff": (with_backoff, "backoff"),
    "google-api-core": (with_google, "google.api_core"),
    "hyx": (with_hyx, "hyx"),
    "langchain-core": (with_langchain, "langchain_core"),
    "LiteLLM": (with_litellm, "litellm"),
    "pydantic-ai": (with_pydantic_ai, "pydantic_ai"),
    "reactivex": (with_reactivex, "reactivex"),
    "aiostream": (with_aiostream, "aiostream"),
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
    return _taken(peer(lambda: iter(()), good)) == [1, 2]


def every_error(peer: Any) -> bool:
    def first() -> Iterator[int]:
        raise ConnectionError("the first error")
        yield

    shown = "".join(format_exception(_taken(peer(first, failing()))[-1]))
    return "the first error" in shown and "reset after 0" in shown


def another_source(peer: Any) -> bool:
    return before_the_first(peer)


def _taken(stream: Iterator[Any]) -> list[Any]:
    """The items, and the error that ended them."""
    items: list[Any] = []
    try:
        for item in stream:
            items.append(item)
    except Exception as error:
        items.append(error)
    return items


QUESTIONS: dict[str, Callable[[Any], bool]] = {
    "survives a failure before the first item": before_the_first,
    "survives a failure after an item": after_an_item,
    "delivers each item once after such a failure": each_once,
    "closes the failed source before it opens the next one": closed_first,
    "opens nothing if the consumer throws an exception in": throw_opens_nothing,
    "can leave a source that yields nothing": leaves_empty_source,
    "keeps every error if all sources fail": every_error,
    "switches to another source": another_source,
}
#: The tables of the page, each with its head.
TABLES = [
    [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    for table in re.findall(r"(?:^\|.*\n)+", PAGE.read_text("utf-8"), re.MULTILINE)
]
CELLS = [
    pytest.param(row[0], library, cell, marks=unless_installed(PEERS[library][1]))
    for head, _, *rows in TABLES
    for row in rows
    for library, cell in zip(head[1:], row[1:], strict=True)
    if cell in ("yes", "no") and row[0] in QUESTIONS
]


def test_each_cell_is_backed() -> None:
    """Each cell is a tested yes or no, a link, or a dash; one cell is an exception."""
    rows = [row for _, _, *rows in TABLES for row in rows]
    unbacked = {
        (row[0], cell)
        for row in rows
        for cell in row[1:]
        if row[0] not in QUESTIONS and cell in ("yes", "no")
    }
    assert unbacked == {("supports async", "yes")}  # this library: tested by the rest of the suite
    links = re.compile(r"\[(yes|no)\]\([\w/.:#?=-]+\)")
    for row in rows:
        assert all(
            cell in ("yes", "no", "\N{EN DASH}") or links.fullmatch(cell) for cell in row[1:]
        )


def test_each_library_is_on_the_page() -> None:
    """Each library that is run here has a column."""
    assert {library for head, *_ in TABLES for library in head[1:]} >= PEERS.keys()


@pytest.mark.filterwarnings("ignore")  # those of the libraries
@pytest.mark.parametrize(("question", "library", "cell"), CELLS)
def test_cell(question: str, library: str, cell: str) -> None:
    """The library does what the page says it does."""
    assert QUESTIONS[question](PEERS[library][0]) is (cell == "yes")
