"""Runs streams of the real SDKs against the local server, blocking and async."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from time import monotonic
from typing import Any

from failover_iter import Source, Takeover
from failover_iter.llm import achat_stream, chat_stream
from llm.contents import CONTENTS, faults_of
from llm.faults import PING_SECONDS, SLOW_FAULTS, STALL_FAULTS
from llm.sdks import SDK
from llm.server import Scripted, Server, running

LONG, SHORT = 20.0, 0.5  # seconds


@dataclass(frozen=True)
class Outcome:
    """The outcome of a stream over a failing source and a backup."""

    #: Text before and after the takeover; without a takeover, all text is in `text`.
    before: str
    text: str
    #: The last chunk.
    last: Any
    #: The items after the takeover; all without one.
    items: list[Any]
    error: Any
    #: Number of requests to each of the two sources.
    requests: tuple[int, int]
    #: Whether the failing source's stream was closed in time (see `Trial.close_timeout`).
    closed: bool


@dataclass(frozen=True)
class Trial:
    """One stream to run."""

    case: tuple[str, str, str]
    models: tuple[str, str]
    sources: list[Source[Any]]
    options: dict[str, Any]

    @property
    def close_timeout(self) -> float:
        """The number of seconds within which the failed stream must be closed."""
        # A blocking read cannot be interrupted: it continues for as long as pings arrive.
        return PING_SECONDS + 1.0 if self.case[1:] == ("sync", "ping-stall-after-3") else 1.0


class Harness:
    """The server, the event loop and the clients, which exist as long as the tests run."""

    def __init__(
        self, server: Server, runner: asyncio.Runner, variants: list[tuple[SDK, str]]
    ) -> None:
        self.server = server
        self.runner = runner
        self.variants = variants
        self._numbers = count(1)
        self._clients: dict[tuple[Any, ...], Any] = {}
        self._outcomes: dict[tuple[str, str, str], Outcome] = {}

    def client(
        self, sdk: SDK, flavour: str, *, seconds: float = LONG, refused: bool = False
    ) -> Any:
        """Return a client; the same one for the same arguments."""
        key = (sdk.name, flavour, seconds, refused)
        if key not in self._clients:
            address = self.server.refusing if refused else self.server.address

            async def make() -> Any:
                return sdk.make(flavour, address, seconds)

            self._clients[key] = self.runner.run(make())
        return self._clients[key]

    def model(self, fault: str) -> str:
        """Return a unique model name with this fault."""
        return f"{fault}~{next(self._numbers)}"

    def scripted(self, *answers: Scripted) -> str:
        """Return a unique model name whose requests get these answers, one after the other."""
        model = self.model("scripted")
        self.server.scripts[model] = list(answers)
        return model

    def source(
        self, sdk: SDK, flavour: str, model: str, *, seconds: float = LONG, **more: Any
    ) -> Source[Any]:
        """Return a source that asks this model."""
        refused = model.startswith("conn-refused")
        client = self.client(sdk, flavour, seconds=seconds, refused=refused)
        return sdk.source(client, model, **more)

    def requests(self, model: str) -> list[dict[str, Any]]:
        """Return the body of each request for this model."""
        return self.server.requests[model]

    def deliver(self, flavour: str, sources: Any, **options: Any) -> tuple[list[Any], Any]:
        """Return all items of a stream, and the error that ends it, if any."""
        if flavour == "async":
            return self.runner.run(adeliver(sources, options))
        return deliver(sources, options)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a coroutine function in the event loop of the clients."""
        return self.runner.run(function(*args))

    @cached_property
    def patience(self) -> float:
        """The timeout of a client whose answer stalls: four times what good answers of all take.

        All stalls run at the same time, and none may begin so late that its client has given up.
        """
        good = [(*variant, "ok") for variant in self.variants if variant[0].installed]
        self._run_cases(good)  # the first ones take longer
        began = monotonic()
        self._run_cases(good)
        return min(max(SHORT, 4 * (monotonic() - began)), LONG)

    def outcome(self, sdk: SDK, flavour: str, fault: str) -> Outcome:
        """Return the outcome of a stream over this fault and a backup.

        Streams run concurrently: all quick faults of one SDK, or the slow faults of all SDKs.
        """
        key = (sdk.name, flavour, fault)
        if key not in self._outcomes and fault not in SLOW_FAULTS:
            quick = [each for each in faults_of(sdk) if each not in SLOW_FAULTS]
            self._run_cases([(sdk, flavour, each) for each in quick])
        if key not in self._outcomes:
            variants = [each for each in self.variants if each[0].installed]
            faults = STALL_FAULTS if fault in STALL_FAULTS else [fault]
            self._run_cases([(*variant, each) for each in faults for variant in variants])
        return self._outcomes[key]

    def _run_cases(self, cases: list[tuple[SDK, str, str]]) -> None:
        trials = [self._trial(*case) for case in cases]
        blocking = [trial for trial in trials if trial.case[1] == "sync"]
        others = [trial for trial in trials if trial.case[1] == "async"]
        gc.disable()  # the stream itself must close its sources
        with ThreadPoolExecutor(64) as pool:
            started = [pool.submit(deliver, trial.sources, trial.options) for trial in blocking]
            delivered = self.run(_deliver_all, [(each.sources, each.options) for each in others])
            delivered[:0] = [future.result() for future in started]
        for trial, (items, error) in zip(blocking + others, delivered, strict=True):
            self._outcomes[trial.case] = self._outcome_of(trial, items, error)
        gc.enable()

    def _trial(self, sdk: SDK, flavour: str, fault: str) -> Trial:
        models = self.model(fault), self.model("ok")
        seconds = SHORT if fault in SLOW_FAULTS else LONG
        if fault in STALL_FAULTS:
            seconds = self.patience
        arguments = CONTENTS[fault][sdk.protocol].arguments if fault in CONTENTS else {}
        sources = [
            self.source(sdk, flavour, models[0], seconds=seconds, **arguments),
            self.source(sdk, flavour, models[1]),
        ]
        options: dict[str, Any] = {"mid_stream": "restart", "mark_takeovers": True}
        if fault == "ping-stall-after-3":
            options["idle_timeout"] = PING_SECONDS / 3  # pings restart the SDK's own timeout
            options["first_item_timeout"] = (
                LONG  # on a busy machine the tokens may be slow to start
            )
        return Trial((sdk.name, flavour, fault), models, sources, options)

    def _outcome_of(self, trial: Trial, items: list[Any], error: Any) -> Outcome:
        """Split the delivered items at the takeover."""
        marks = [place for place, item in enumerate(items) if isinstance(item, Takeover)]
        start = marks[0] + 1 if marks else 0
        return Outcome(
            before="".join(item.text for item in items[: max(0, start - 1)]),
            text="".join(item.text for item in items[start:]),
            last=items[-1] if items[start:] else None,
            items=items[start:],
            error=error,
            requests=(len(self.requests(trial.models[0])), len(self.requests(trial.models[1]))),
            closed=self.server.wait_closed(trial.models[0], trial.close_timeout),
        )

    async def close(self) -> None:
        """Close the clients, and let the loop run their callbacks."""
        for client in self._clients.values():
            await close(getattr(client, "aio", None))
            await close(client)
        for _ in range(5):
            await asyncio.sleep(0)


async def close(client: Any) -> None:
    """Close a client with the method that its SDK provides."""
    method = getattr(client, "aclose", None) or getattr(client, "close", None)
    if callable(method):
        closing = method()
    elif hasattr(client, "__aexit__"):
        closing = client.__aexit__(None, None, None)
    else:
        closing = None
    if inspect.isawaitable(closing):
        await closing


def deliver(sources: Any, options: dict[str, Any]) -> tuple[list[Any], Any]:
    """Return all items of a blocking stream, and the error that ends it, if any."""
    items: list[Any] = []
    try:
        for item in chat_stream(sources, **options):
            items.append(item)
    except Exception as error:
        return items, error
    return items, None


async def adeliver(sources: Any, options: dict[str, Any]) -> tuple[list[Any], Any]:
    """Return all items of an async stream, and the error that ends it, if any."""
    items: list[Any] = []
    try:
        async with aclosing(achat_stream(sources, **options)) as stream:
            async for item in stream:
                items.append(item)
    except Exception as error:
        return items, error
    return items, None


async def _deliver_all(streams: list[tuple[Any, dict[str, Any]]]) -> list[Any]:
    return await asyncio.gather(*(adeliver(*stream) for stream in streams))


@contextmanager
def new_harness(variants: list[tuple[SDK, str]]) -> Iterator[Harness]:
    """Create a harness for these SDKs and flavours, and close it afterwards."""
    with running() as server, asyncio.Runner() as runner:
        made = Harness(server, runner, variants)
        try:
            yield made
        finally:
            runner.run(made.close())
