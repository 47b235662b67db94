"""Names tell deployments apart, and no message, log line or repr shows a prompt or a key."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from failover_iter import Trace
from failover_iter.llm import ProviderError, chat_stream, collect, openai_chat
from llm.cases import cases
from llm.fakes import ADAPTERS, Client, choice, record, source_of
from llm.harness import Harness
from llm.sdks import SDK

SECRET = "attack at dawn"
MESSAGES = [{"role": "system", "content": SECRET}, {"role": "user", "content": SECRET}]


class Deployment(Client):
    """A client of a deployment."""

    def __init__(self, base_url: str, *events: Any) -> None:
        super().__init__(*events)
        self.base_url = base_url


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://east.openai.azure.com/openai/", "openai m (east.openai.azure.com)"),
        ("http://user:password@localhost:8000/v1?key=x", "openai m (localhost:8000)"),
        ("https://api.openai.com/v1/", "openai m"),
    ],
)
def test_deployments(base_url: str, name: str) -> None:
    """The host is in the name, in the error and in the chunks, but neither path nor password."""
    client: Any = Deployment(base_url, choice("Hi"))
    source = openai_chat(client, model="m", messages=MESSAGES)
    assert source.name == name
    with pytest.raises(ProviderError) as raised:
        collect(chat_stream([source]))
    assert str(raised.value).startswith(f"{name}: the answer was cut off")
    assert raised.value.source == name


def test_regions() -> None:
    """Bedrock's clients have a region."""
    client: Any = Client()
    client.meta = record(region_name="eu-central-1")
    assert source_of("bedrock_converse", client).name == "bedrock m (eu-central-1)"


def shown(source: Any, error: BaseException | None, trace: Trace, records: Any) -> str:
    """Return all that is shown of a stream."""
    notes = getattr(error, "__notes__", [])
    lines = [record.getMessage() for record in records]
    return " ".join(map(str, [repr(source), error, *notes, trace, *trace.events, *lines]))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_prompt_of_a_fake(adapter: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not after a failure, an empty answer, or an event that cannot be read."""
    caplog.set_level(logging.DEBUG)
    for event in ([ConnectionError("reset")], [], [{"odd": 1}], [record(type=7)]):
        source = source_of(adapter, Client(*event), messages=MESSAGES)
        trace = Trace()
        with pytest.raises(Exception) as raised:
            list(chat_stream([source], on_event=trace))
        assert SECRET not in shown(source, raised.value, trace, caplog.records)


@pytest.mark.parametrize(
    ("sdk", "flavour", "fault"), cases(["status-503", "status-400", "cut-after-3"])
)
def test_no_prompt_of_a_real_sdk(
    harness: Harness, sdk: SDK, flavour: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Our own logger, events and errors show none."""
    caplog.set_level(logging.DEBUG, "failover_iter")
    model = harness.model(fault)
    source = harness.source(sdk, flavour, model, messages=MESSAGES)
    trace = Trace()
    _, error = harness.deliver(flavour, [source], on_event=trace)
    ours = [each for each in caplog.records if each.name.startswith("failover_iter")]
    assert error is not None
    assert SECRET not in shown(source, error, trace, ours)
