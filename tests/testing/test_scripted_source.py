"""The scripted sources of the law of identity, and the models of the laws."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from failover_iter.testing import Plan
from failover_iter.testing._law_models import delivered_under
from failover_iter.testing._scripted_source import (
    ScriptedSource,
    async_generator,
    async_iterator,
    sync_generator,
)


def test_sent_values_are_logged() -> None:
    """A scripted generator or iterator logs sent values, in both flavours."""
    script = ScriptedSource(pulls=("item", "item", "end"))
    log: list[Any] = []
    generator = sync_generator(script, log)
    assert (next(generator), generator.send("sent")) == ("pulls 0", "pulls 1")
    assert log == [("send", "sent")]

    async def main(source: Any) -> tuple[Any, Any]:
        return await anext(source), await source.asend("sent")

    log = []
    assert asyncio.run(main(async_generator(script, log))) == ("pulls 0", "pulls 1")
    assert log[0] == ("send", "sent")
    log = []
    assert asyncio.run(main(async_iterator(script, log))) == ("pulls 0", "pulls 1")
    assert log == [("send", None), ("send", "sent")]


@pytest.mark.parametrize("mode", ["skip", "restart", "resume"])
def test_a_model_whose_sources_all_fail(mode: Any) -> None:
    """The model delivers the items so far, and raises the last error."""
    delivered: list[Any] = []
    with pytest.raises(ConnectionError):
        for item in delivered_under(mode)(Plan("a#", "a#", errors=(ConnectionError,))):
            delivered.append(item)
    assert len(delivered) == (2 if mode == "restart" else 1)
