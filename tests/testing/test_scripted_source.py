"""The scripted sources of the identity law: sync and async ones follow the same script."""

from __future__ import annotations

import asyncio
from typing import Any

from failover_iter.testing._scripted_source import ScriptedSource, async_generator, sync_generator

SCRIPT = ScriptedSource(pulls=("item", "item"), throws=("item",), closes=("end",), value=None)


def test_an_error_that_is_thrown_in() -> None:
    """It is logged, and answered as the script says, by both generators."""

    async def main() -> list[Any]:
        log: list[Any] = []
        source = async_generator(SCRIPT, log)
        items = [await anext(source), await source.athrow(KeyError()), await source.asend("sent")]
        await source.aclose()
        return [*items, *log]

    log: list[Any] = []
    source = sync_generator(SCRIPT, log)
    items = [next(source), source.throw(KeyError()), source.send("sent")]
    source.close()
    assert asyncio.run(main()) == [*items, *log]
    assert log == [("throw", "KeyError"), ("send", "sent"), "close"]
