"""Answers that are complete, but in forms that are easily lost or misread.

Each entry of `CONTENTS` has, for each protocol that knows this form, what a server sends between
the start and the end of a good answer, and what the consumer must get.
"""

from __future__ import annotations

from llm.faults import BEFORE_CONTENT, HEALTHY, MID_STREAM, REQUEST_ERRORS
from llm.losses import LOSSES
from llm.other_protocols import PROTOCOLS
from llm.pieces import (
    BONN,
    CHAT,
    DONE,
    FILTER,
    HI,
    IMAGE_URL,
    NAMED_OTHERWISE,
    REST,
    STOP,
    TEXT,
    THOUGHT,
    TWO,
    ULM,
    WEATHER,
    Content,
    call,
    calls,
    choices,
    counted,
    delta,
)
from llm.sdks import SDK

#: What servers send that are compatible with OpenAI's chat completions, more or less.
ODD_SHAPES: dict[str, dict[str, Content]] = {
    name: {"openai": content}
    for name, content in {
        "delta-missing": Content([FILTER, HI, FILTER], TEXT),
        "delta-null": Content(
            [HI, choices({"index": 0, "delta": None, "finish_reason": "stop"})], TEXT, REST
        ),
        "no-choices": Content([choices(prompt_filter_results=[]), HI], TEXT),
        "message-for-delta": Content(
            [choices({"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"})],
            TEXT,
            REST,
        ),
        "choice-index-missing": Content([choices({"delta": {"content": "Hi"}})], TEXT),
        "choice-index-counts-up": Content(counted("Wh", "is", "per"), {"text": "Whisper"}),
        "content-in-parts": Content(
            [delta(content=[THOUGHT]), delta(content=[{"type": "text", "text": "Hi"}])],
            TEXT | {"reasoning": "hm"},
        ),
        "image-in-parts": Content([delta(content=[IMAGE_URL])], {"others": ["image_url"]}),
        "reasoning-content": Content(
            [delta(reasoning_content="hm"), HI], TEXT | {"reasoning": "hm"}
        ),
        "call-index-0": Content([*calls(call("a", ULM, index=0), call("b", BONN, index=0))], TWO),
        "call-index-missing": Content(
            calls(call("a", ULM), call("b", BONN[:3]), call(None, BONN[3:])), TWO
        ),
        "call-index-null": Content(
            calls(call("a", ULM, index=None), call("b", BONN, index=None)), TWO
        ),
        "calls-in-one-delta": Content([delta(tool_calls=[call("a", ULM), call("b", BONN)])], TWO),
        "calls-interleaved": Content(
            [
                *calls(call("a", ULM[:4], index=0), call("b", BONN[:4], index=1)),
                *calls(call(None, ULM[4:], index=0), call(None, BONN[4:], index=1)),
            ],
            TWO,
        ),
        "call-id-repeated": Content(
            calls(
                *(call("a", text, index=0) for text in (ULM[:5], ULM[5:])),
                *(call("b", text, index=1) for text in (BONN, "")),
            ),
            TWO,
        ),
        "arguments-an-object": Content(
            calls(call("a", WEATHER, index=0)), {"calls": [("a", WEATHER)]}
        ),
        "function-call": Content(
            [
                delta(function_call={"name": "weather", "arguments": ""}),
                delta(function_call={"arguments": ULM}),
                CHAT.chunk({}, reason="function_call"),
            ],
            {"calls": [(None, WEATHER)]},
            REST,
        ),
        "usage-named-otherwise": Content(
            [HI], TEXT, [STOP, choices(usage=NAMED_OTHERWISE), DONE], usage=(11, 5)
        ),
        "no-finish-reason": Content(
            [HI], TEXT, [choices(usage=NAMED_OTHERWISE), DONE], (11, 5), {"finish": "optional"}
        ),
    }.items()
}
CONTENTS = LOSSES | ODD_SHAPES


NEXT, ERROR, WHOLE, LOST = "next", "error", "whole", "lost"
#: Where an SDK itself drops content or makes it up, so its adapter cannot deliver all of it: what
#: happens instead.
DROPPED_BY_SDK = {
    ("litellm-openai", "message-for-delta"): NEXT,
    ("litellm-openai", "content-in-parts"): NEXT,
    ("litellm-openai", "image-in-parts"): NEXT,
    ("litellm-openai", "usage-named-otherwise"): LOST,
    ("litellm-openai", "unreadable-after-3"): LOST,
    ("litellm-anthropic", "call-in-start"): LOST,
    ("litellm-anthropic", "call-without-end"): LOST,
    ("litellm-anthropic", "signature-in-start"): LOST,
}
#: The rows of the matrix.
ALL_FAULTS = [*BEFORE_CONTENT, *MID_STREAM, *CONTENTS, *REQUEST_ERRORS, *HEALTHY]


def applies(fault: str, sdk: SDK) -> bool:
    """Whether the provider of this SDK can send this."""
    if fault == "failed-finish-after-3":
        return PROTOCOLS[sdk.protocol].failed_finish() is not None
    if fault not in CONTENTS:
        return True
    content = CONTENTS[fault].get(sdk.protocol)
    # litellm does not have the arguments of our adapters.
    return content is not None and not (content.arguments and sdk.package == "litellm")


def faults_of(sdk: SDK) -> list[str]:
    """Return the rows of the matrix that have a cell for this SDK."""
    return [fault for fault in ALL_FAULTS if applies(fault, sdk)]
