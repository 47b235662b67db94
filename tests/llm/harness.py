"""Tries streams of the real SDKs on the local server, blocking and async alike."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from failover_iter import Source, Takeover
from failover_iter.llm import achat_stream, chat_stream
from llm.faults import PING_SECONDS, QUICK_FAULTS, SLOW_FAULTS, STALL_FAULTS
from llm.sdks import SDK
from llm.server import Server, running

LONG, SHORT = 20.0, 0.5  # seconds


@dataclass(frozen=True)
class Outcome:
    """What came of a stream over a failing source and a good one."""

    #: Text before the takeover and after it; without one all of it is after.
    before: str
    text: str
    #: The last chunk.
    last: Any
    error: Any
    #: How often each of the two was asked.
    asked: tuple[int, int]
    #: Whether the failing one's stream was closed within a second.
    closed: bool


@dataclass(frozen=True)
class Trial:
    """What is to be tried."""

    case: tuple[str, str, str]
    models: tuple[str, str]
    sources: list[Source[Any]]
    options: dict[str, Any]

    @property
    def patience(self) -> float:
        """Within how many seconds the failed stream is closed."""
        # A blocking read cannot be ended from outside: it goes on for as long as pings come.
        return PING_SECONDS + 1.0 if self.case[1:] == ("sync", "ping-stall-after-3") else 1.0


class Harness:
    """The server, the loop and the clients, which live as long as the tests."""

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
        """A client; the same one for the same wishes."""
        key = (sdk.name, flavour, seconds, refused)
        if key not in self._clients:
            address = self.server.refusing if refused else self.server.address

            async def make() -> Any:
                return sdk.make(flavour, address, seconds)

            self._clients[key] = self.runner.run(make())
        return self._clients[key]

    def model(self, fault: str) -> str:
        """A model of this fault that nobody else asks."""
        return f"{fault}~{next(self._numbers)}"

    def source(
        self, sdk: SDK, flavour: str, model: str, *, seconds: float = LONG, **more: Any
    ) -> Source[Any]:
        """A source that asks this model."""
        refused = model.startswith("conn-refused")
        client = self.client(sdk, flavour, seconds=seconds, refused=refused)
        return sdk.source(client, model, **more)

    def asked(self, model: str) -> list[dict[str, Any]]:
        """What this model was asked, request by request."""
        return self.server.requests[model]

    def deliver(self, flavour: str, sources: Any, **options: Any) -> tuple[list[Any], Any]:
        """All that a stream delivers, and the error that it ends with, if it does."""
        if flavour == "async":
            return self.runner.run(adeliver(sources, options))
        return deliver(sources, options)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a coroutine function in the loop of the clients."""
        return self.runner.run(function(*args))

    def outcome(self, sdk: SDK, flavour: str, fault: str) -> Outcome:
        """What comes of a stream over this fault and a good source.

        All are tried side by side: the quick ones of one SDK, the slow ones of all.
        """
        key = (sdk.name, flavour, fault)
        if key not in self._outcomes and fault in QUICK_FAULTS:
            self._try([(sdk, flavour, each) for each in QUICK_FAULTS])
        if key not in self._outcomes:
            variants = [each for each in self.variants if each[0].installed]
            faults = STALL_FAULTS if fault in STALL_FAULTS else [fault]
            self._try([(*variant, each) for each in faults for variant in variants])
        return self._outcomes[key]

    def _try(self, cases: list[tuple[SDK, str, str]]) -> None:
        for flavour in ("sync", "async"):
            trials = [self._trial(*case) for case in cases if case[1] == flavour]
            streams = [(trial.sources, trial.options) for trial in trials]
            gc.disable()  # what is closed is closed by the stream itself
            if flavour == "sync":
                with ThreadPoolExecutor(64) as pool:
                    delivered = list(pool.map(lambda stream: deliver(*stream), streams))
            else:
                delivered = self.run(_side_by_side, streams)
            for trial, (items, error) in zip(trials, delivered, strict=True):
                self._outcomes[trial.case] = self._judged(trial, items, error)
            gc.enable()

    def _trial(self, sdk: SDK, flavour: str, fault: str) -> Trial:
        models = self.model(fault), self.model("ok")
        seconds = SHORT if fault in SLOW_FAULTS else LONG
        sources = [
            self.source(sdk, flavour, models[0], seconds=seconds),
            self.source(sdk, flavour, models[1]),
        ]
        options: dict[str, Any] = {"mid_stream": "restart", "mark_takeovers": True}
        if fault == "ping-stall-after-3":
            options["idle_timeout"] = SHORT  # the SDK's own is put off by each ping
        return Trial((sdk.name, flavour, fault), models, sources, options)

    def _judged(self, trial: Trial, items: list[Any], error: Any) -> Outcome:
        """What was delivered, parted at the takeover."""
        marks = [place for place, item in enumerate(items) if isinstance(item, Takeover)]
        start = marks[0] + 1 if marks else 0
        return Outcome(
            before="".join(item.text for item in items[: max(0, start - 1)]),
            text="".join(item.text for item in items[start:]),
            last=items[-1] if items[start:] else None,
            error=error,
            asked=(len(self.asked(trial.models[0])), len(self.asked(trial.models[1]))),
            closed=self.server.wait_closed(trial.models[0], trial.patience),
        )

    async def close(self) -> None:
        """Close the clients, and let the loop see it."""
        for client in self._clients.values():
            await close(getattr(client, "aio", None))
            await close(client)
        for _ in range(5):
            await asyncio.sleep(0)


async def close(client: Any) -> None:
    """Close a client, in the way that its SDK has."""
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
    """All that a blocking stream delivers, and its error."""
    items: list[Any] = []
    try:
        for item in chat_stream(sources, **options):
            items.append(item)
    except Exception as error:
        return items, error
    return items, None


async def adeliver(sources: Any, options: dict[str, Any]) -> tuple[list[Any], Any]:
    """All that an async stream delivers, and its error."""
    items: list[Any] = []
    try:
        async with aclosing(achat_stream(sources, **options)) as stream:
            async for item in stream:
                items.append(item)
    except Exception as error:
        return items, error
    return items, None


async def _side_by_side(wanted: list[tuple[Any, dict[str, Any]]]) -> list[Any]:
    return await asyncio.gather(*(adeliver(*stream) for stream in wanted))


@contextmanager
def new_harness(variants: list[tuple[SDK, str]]) -> Iterator[Harness]:
    """Set it up for these SDKs, blocking or async, and clear it away."""
    with running() as server, asyncio.Runner() as runner:
        made = Harness(server, runner, variants)
        try:
            yield made
        finally:
            runner.run(made.close())
