"""A response that OpenAI makes in the background is posted once, whatever happens to its stream."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter.llm import ProviderError, collect, continue_with
from llm.cases import skip_unless_installed
from llm.faults import FULL_TEXT, TOKENS
from llm.harness import Harness
from llm.other_protocols import PROTOCOLS
from llm.protocols import sse
from llm.sdks import SDKS

SDK = SDKS["openai-responses"]
pytestmark = list(skip_unless_installed(SDK))
FLAVOURS = pytest.mark.parametrize("flavour", ["sync", "async"])
WIRE: Any = PROTOCOLS["responses"]
EXPIRED = (
    400,
    {"error": {"message": "it can no longer be streamed", "type": "invalid_request_error"}},
)


def message(text: str) -> dict[str, Any]:
    """Return the output of a response."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "m", "role": "assistant", "content": content}


class Background:
    """A response in the background: its events are numbered from 0."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.model = harness.model("scripted")
        self.events = [
            self.event(0, "response.created", response=self.response("queued")),
            *(
                self.event(place, "response.output_text.delta", delta=token, output_index=0)
                for place, token in enumerate(TOKENS, 1)
            ),
            self.event(7, "response.completed", response=self.response("completed")),
        ]

    def event(self, number: int, kind: str, **more: Any) -> bytes:
        """Return an event."""
        return sse({"type": kind, "sequence_number": number, **more}, kind)

    def item(self, kind: str, **more: Any) -> bytes:
        """Return an item of the response that is finished."""
        item = {"id": "rs", "type": kind, **more}
        return self.event(0, "response.output_item.done", output_index=0, item=item)

    def response(self, status: str, **more: Any) -> dict[str, Any]:
        """Return the record of the response; the test's server finds its model in the id."""
        response: dict[str, Any] = WIRE.response(status, **more)
        return response | {"id": self.model}

    def whole(self, status: str, text: str = "", **more: Any) -> tuple[int, Any]:
        """Return the answer to a request for the whole response."""
        return 200, self.response(status, output=[message(text)], **more)

    def deliver(self, flavour: str, *answers: Any, **options: Any) -> tuple[list[Any], Any]:
        """Run a stream whose requests get these answers."""
        self.harness.server.scripts[self.model] = list(answers)
        source = self.harness.source(SDK, flavour, self.model, background=True)
        options = {"mid_stream": continue_with(), "attempts": 6} | options
        return self.harness.deliver(flavour, [source], **options)

    @property
    def requests(self) -> list[str]:
        """What each request asked for."""
        return [
            f"after {body.get('starting_after')}"
            if "stream" in body and "model" not in body
            else ("post" if "model" in body else "poll")
            for body in self.harness.requests(self.model)
        ]


@FLAVOURS
def test_its_stream_goes_on(harness: Harness, flavour: str) -> None:
    """Each attempt asks for what comes after the last chunk that was delivered."""
    made = Background(harness)
    items, error = made.deliver(flavour, made.events[:4], made.events[4:6], made.events[6:])
    assert (error, collect(items).text) == (None, FULL_TEXT)
    assert made.requests == ["post", "after 3", "after 5"]
    assert [item.continues for item in items] == [False] * 3 + [True] * 4


@FLAVOURS
@pytest.mark.parametrize("last", [4, 6])
def test_the_last_event_repeats_nothing(harness: Harness, flavour: str, last: int) -> None:
    """It holds the whole response, also where nothing else was left to come, or was lost."""
    made = Background(harness)
    thought = made.item("reasoning", encrypted_content="ENC", summary=[])
    output = [{"id": "rs", "type": "reasoning", "encrypted_content": "ENC", "summary": []}]
    done = made.response("completed", output=[*output, message(FULL_TEXT)])
    before = [thought, *made.events[: last + 1]]
    end = made.event(7, "response.completed", response=done)
    items, error = made.deliver(flavour, before, [end])
    found = collect(items)
    assert (error, found.text, len(found.opaque)) == (None, FULL_TEXT, 1)
    assert made.requests == ["post", f"after {last}"]


@FLAVOURS
def test_before_any_text(harness: Harness, flavour: str) -> None:
    """Nothing was delivered, so its stream is asked for from the start, in every mode."""
    for mode in ("raise", "restart", continue_with()):
        made = Background(harness)
        items, error = made.deliver(flavour, made.events[:1], made.events, mid_stream=mode)
        assert (error, collect(items).text) == (None, FULL_TEXT)
        assert made.requests == ["post", "after None"]


@FLAVOURS
def test_a_restart_does_not_post_it_again(harness: Harness, flavour: str) -> None:
    """The answer starts over from the stored response."""
    made = Background(harness)
    items, error = made.deliver(flavour, made.events[:4], made.events, mid_stream="restart")
    assert (error, collect(items).text) == (None, FULL_TEXT)
    assert made.requests == ["post", "after None"]


@FLAVOURS
def test_an_expired_stream_is_polled(harness: Harness, flavour: str) -> None:
    """The whole response is asked for until it is finished; only the rest of it is delivered."""
    made = Background(harness)
    answers = [made.events[:4], EXPIRED, made.whole("in_progress"), EXPIRED]
    items, error = made.deliver(flavour, *answers, made.whole("completed", FULL_TEXT))
    assert (error, collect(items).text) == (None, FULL_TEXT)
    assert made.requests == ["post", "after 3", "poll", "after 3", "poll"]


@FLAVOURS
def test_a_response_that_ends_early(harness: Harness, flavour: str) -> None:
    """One that a limit ended is complete; one that failed is an error, and may be posted anew."""
    made = Background(harness)
    details = {"incomplete_details": {"reason": "max_output_tokens"}}
    answers = [made.events[:4], EXPIRED, made.whole("incomplete", FULL_TEXT, **details)]
    items, error = made.deliver(flavour, *answers)
    assert (error, items[-1].finish_reason) == (None, "length")
    made = Background(harness)
    failed = made.whole("failed", error={"code": "server_error", "message": "no"})
    answers = [made.events[:1], EXPIRED, failed, made.events]
    items, error = made.deliver(flavour, *answers)
    assert (error, collect(items).text) == (None, FULL_TEXT)
    assert made.requests == ["post", "after None", "poll", "post"]


@FLAVOURS
def test_other_responses_are_posted_again(harness: Harness, flavour: str) -> None:
    """Only a response in the background outlives its stream."""
    made = Background(harness)
    harness.server.scripts[made.model] = [made.events[:1], made.events]
    items, error = harness.deliver(flavour, [harness.source(SDK, flavour, made.model)], attempts=2)
    assert (error, collect(items).text, made.requests) == (None, FULL_TEXT, ["post", "post"])
    made = Background(harness)
    items, error = made.deliver(flavour, made.events[:2], attempts=1)
    assert isinstance(error, ProviderError)
