"""The scripted sources of the identity law follow the same script, sync and async."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from failover_iter.testing import _scripted_source as scripted
from failover_iter.testing._scripted_source import ScriptedSource

SYNC = [scripted.sync_generator, scripted.sync_iterator]
ASYNC = [scripted.async_generator, scripted.async_iterator]
ENDS = (StopIteration, StopAsyncIteration)

#: The calls of a source in their order: the name of the method, and its argument.
STEPS: list[tuple[str, tuple[Any, ...]]] = [
    ("next", ()),
    ("throw", (KeyError("thrown"),)),
    ("send", ("sent",)),
    ("close", ()),
]


def name_of(error: BaseException) -> str:
    """The name of an error; the end of a source has the same name for both kinds."""
    return "the end" if isinstance(error, ENDS) else type(error).__name__


def outcomes(make: Any, script: ScriptedSource) -> list[Any]:
    """Take the steps with a sync source until it ends; what came of each, and what was logged."""
    log: list[Any] = []
    source, results = iter(make(script, log)), list[Any]()
    try:
        for name, args in STEPS:
            method = source.__next__ if name == "next" else getattr(source, name)
            results.append(method(*args))
    except BaseException as error:
        results.append(name_of(error))
    return [*results, log]


async def aoutcomes(make: Any, script: ScriptedSource) -> list[Any]:
    """Take the same steps with an async source."""
    log: list[Any] = []
    source, results = aiter(make(script, log)), list[Any]()
    try:
        for name, args in STEPS:
            method = source.__anext__ if name == "next" else getattr(source, f"a{name}")
            results.append(await method(*args))
    except BaseException as error:
        results.append(name_of(error))
    return [*results, log]


@pytest.mark.parametrize("at", ["pulls", "throws", "closes"])
@pytest.mark.parametrize("action", ["item", "end", "raise", "reraise", "base"])
def test_async_sources_act_as_sync_ones(at: str, action: Any) -> None:
    """Whatever the script says, at a pull, a throw or a close."""
    actions = {"pulls": ("item",), "throws": ("item",), "closes": ("end",), at: (action, "end")}
    script = ScriptedSource(**actions)  # type: ignore[arg-type]  # actions, all of them
    ignores_close = (at, action) == ("closes", "item")  # Python itself reports such a generator
    for sync, async_ in [*zip(SYNC, ASYNC, strict=True)][ignores_close:]:
        expected = outcomes(sync, script)
        assert asyncio.run(aoutcomes(async_, script)) == expected


@pytest.mark.parametrize("action", ["end", "raise", "base"])
def test_an_iterator_that_has_ended_stays_so(action: Any) -> None:
    """Neither a pull nor a close does anything then; the close is logged."""
    log: list[Any] = []
    source = scripted.sync_iterator(ScriptedSource(pulls=(action,), closes=("raise",)), log)
    with pytest.raises(BaseException):  # noqa: B017 (whatever the script says)
        next(source)
    with pytest.raises(StopIteration):
        next(source)
    source.close()
    assert log == [("send", None), ("send", None), "close"]


def test_an_iterator_without_methods() -> None:
    """Those that the script leaves out are missing, and no others."""
    script = ScriptedSource(missing=frozenset({"send", "throw"}))
    assert not hasattr(scripted.sync_iterator(script, []), "throw")
    assert not hasattr(scripted.async_iterator(script, []), "asend")
    assert hasattr(scripted.async_iterator(script, []), "aclose")


def test_what_is_logged() -> None:
    """Each call, in order."""
    script = ScriptedSource(throws=("item",))
    expected = [("send", None), ("throw", "KeyError"), ("send", "sent"), "close"]
    assert outcomes(scripted.sync_iterator, script)[-1][:4] == expected
