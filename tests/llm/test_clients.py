"""A source keeps its client alive, wherever the client was created."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from llm.cases import cases
from llm.fakes import ADAPTERS, Client, source_of
from llm.faults import BACKUP_TEXT
from llm.harness import LONG, Harness
from llm.sdks import SDK


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_source_holds_the_client(adapter: str) -> None:
    """A client that was created in the call lives as long as the source."""
    client = Client()
    alive = weakref.ref(client)
    source = source_of(adapter, client)
    del client
    gc.collect()
    assert alive() is not None
    del source
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    "adapter", ["openai_chat", "openai_responses", "anthropic_messages", "groq_chat"]
)
def test_the_beta_of_a_client(adapter: str) -> None:
    """It has the same calls, but the client itself says where it asks and whether it is async."""
    client: Any = Client()
    client.base_url = "https://east.example/v1"
    beta = SimpleNamespace(chat=client.chat, messages=client.messages, responses=client.responses)
    beta._client = client  # as the SDKs name it
    assert "(east.example)" in str(source_of(adapter, beta).name)


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_a_client_created_in_the_call_answers(harness: Harness, sdk: SDK, flavour: str) -> None:
    """The real client answers, although only the source refers to it."""

    async def source() -> object:
        return sdk.source(sdk.make(flavour, harness.server.address, LONG), harness.model("ok"))

    sources = [harness.run(source)]
    gc.collect()
    items, error = harness.deliver(flavour, sources)
    assert (error, "".join(item.text for item in items)) == (None, BACKUP_TEXT)
    del sources
    gc.collect()
