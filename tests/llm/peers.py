"""Other libraries that fall back from one model to the next, on the faults of the matrix.

    PYTHONPATH=tests python -m llm.peers

Each of them streams from a failing model and has a second one, over OpenAI's chat completions. The
settings are those of a user who wants to lose nothing: a timeout where nothing arrives, and none of
the SDKs' own retries. The script runs every fault and writes `docs/llm-comparison.md`. It needs the
extra `llm-peers`.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import logging
import warnings
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from failover_iter import Takeover
from failover_iter.llm import achat_stream, continue_with, openai_chat
from llm.contents import NEXT, ODD_SHAPES, WHOLE
from llm.descriptions import DESCRIPTIONS
from llm.faults import (
    BACKUP_TEXT,
    BEFORE_CONTENT,
    FULL_TEXT,
    HEALTHY,
    MID_STREAM,
    PARTIAL_TEXT,
    PING_SECONDS,
    REQUEST_ERRORS,
    STALL_FAULTS,
    UNICODE_TEXT,
)
from llm.harness import LONG, SHORT, Harness, new_harness
from llm.parts import parsed, tool_calls
from llm.sdks import MESSAGES, SDKS

HERE = Path(__file__).parent
MEASURED = HERE / "peers_measured.json"
PAGE = HERE.parents[1] / "docs" / "llm-comparison.md"
PACKAGES = ("litellm", "langchain-openai", "langchain-core", "pydantic-ai-slim", "openai")
QUESTION = "Why is the sky blue?"
WAITS = "slow-tokens"  # the only healthy stream in which timeouts matter


@dataclass
class Answer:
    """The answer that a consumer has at the end."""

    text: str = ""
    #: Names and arguments of the tool calls.
    calls: list[tuple[str | None, Any]] = field(default_factory=list)
    #: Whether the library said that an answer takes the place of what came before.
    restarted: bool = False


@dataclass(frozen=True)
class Models:
    """The addresses of a failing model and of the backup."""

    harness: Harness
    names: tuple[str, str]
    #: The timeout of the clients.
    seconds: float

    def base_url(self, name: str) -> str:
        """Return the address that serves a model."""
        server = self.harness.server
        base = server.refusing if name.startswith("conn-refused") else server.address
        return f"{base}/openai/v1"


async def ours(models: Models, answer: Answer, **options: Any) -> None:
    """Stream with this library."""
    client = import_module("openai").AsyncOpenAI
    sources = [
        openai_chat(
            client(
                base_url=models.base_url(name), api_key="key", timeout=models.seconds, max_retries=0
            ),
            model=name,
            messages=MESSAGES,
            finish="optional" if name.startswith("no-finish-reason") else "required",
        )
        for name in models.names
    ]
    pieces: list[Any] = []
    async with aclosing(
        achat_stream(sources, mark_takeovers=True, idle_timeout=models.seconds, **options)
    ) as stream:
        async for item in stream:
            if isinstance(item, Takeover):
                if item.mode == "restart":
                    answer.text, answer.restarted = "", True
                    pieces.clear()
                continue
            answer.text += item.text
            if item.tool_call:
                call = item.tool_call
                pieces.append({"index": call.index, "name": call.name, "args": call.arguments})
    answer.calls = tool_calls(pieces)


async def restarting(models: Models, answer: Answer) -> None:
    """Stream with this library, and start over mid-stream."""
    await ours(models, answer, mid_stream="restart")


async def continuing(models: Models, answer: Answer) -> None:
    """Stream with this library, and continue mid-stream."""
    await ours(models, answer, mid_stream=continue_with("instruct"))


async def litellm_router(models: Models, answer: Answer, **options: Any) -> None:
    """Stream with litellm's Router."""
    names = models.names
    known = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{name}",
                "api_base": models.base_url(name),
                "api_key": "key",
                "timeout": models.seconds,
                "stream_timeout": models.seconds,
                "max_retries": 0,
            },
        }
        for name in names
    ]
    litellm = import_module("litellm")
    router = litellm.Router(
        model_list=known, num_retries=0, fallbacks=[{names[0]: [names[1]]}], **options
    )
    chunks: list[Any] = []
    async for chunk in await router.acompletion(names[0], messages=MESSAGES, stream=True):
        chunks.append(chunk)
        answer.text += "".join(choice.delta.content or "" for choice in chunk.choices)
    whole = litellm.stream_chunk_builder(chunks)
    message = whole.choices[0].message if whole and whole.choices else None
    functions = [call.function for call in (message and message.tool_calls) or ()]
    if message and message.get("function_call"):
        functions.append(message.function_call)
    answer.calls = [(each.name, parsed(each.arguments)) for each in functions]


async def litellm_continuing(models: Models, answer: Answer) -> None:
    """Stream with litellm's Router, and continue mid-stream."""
    litellm = import_module("litellm")
    prefill = {"supports_assistant_prefill": True, "litellm_provider": "openai", "mode": "chat"}
    litellm.register_model({f"openai/{name}": dict(prefill) for name in models.names})
    await litellm_router(models, answer, enable_mid_stream_fallback_continuation=True)


async def langchain(models: Models, answer: Answer) -> None:
    """Stream with langchain's `with_fallbacks`."""
    first, backup = (
        import_module("langchain_openai").ChatOpenAI(
            model=name,
            base_url=models.base_url(name),
            api_key="key",
            request_timeout=models.seconds,
            stream_chunk_timeout=models.seconds,
            max_retries=0,
        )
        for name in models.names
    )
    whole: Any = None
    async for chunk in first.with_fallbacks([backup]).astream(QUESTION):
        answer.text += chunk.text
        whole = chunk if whole is None else whole + chunk
    calls = [*whole.tool_calls, *whole.invalid_tool_calls] if whole else []
    answer.calls = [(call["name"], call["args"]) for call in calls]
    legacy = whole and whole.additional_kwargs.get("function_call")
    if legacy:
        answer.calls.append((legacy["name"], parsed(legacy["arguments"])))


async def pydantic_ai(models: Models, answer: Answer) -> None:
    """Stream with pydantic-ai's `FallbackModel`."""
    chat = import_module("pydantic_ai.models.openai").OpenAIChatModel
    provider = import_module("pydantic_ai.providers.openai").OpenAIProvider
    client = import_module("openai").AsyncOpenAI
    first, backup = (
        chat(
            name,
            provider=provider(
                openai_client=client(
                    base_url=models.base_url(name),
                    api_key="key",
                    timeout=models.seconds,
                    max_retries=0,
                )
            ),
        )
        for name in models.names
    )
    messages = import_module("pydantic_ai.messages")
    model = import_module("pydantic_ai.models.fallback").FallbackModel(first, backup)
    request = messages.ModelRequest(parts=[messages.UserPromptPart(QUESTION)])
    stream_of = import_module("pydantic_ai.direct").model_request_stream
    async with stream_of(model, [request]) as stream:
        async for event in stream:
            part = getattr(event, "part", None) or getattr(event, "delta", None)
            if event.event_kind == "part_start" and part.part_kind == "text":
                answer.text += part.content
            elif event.event_kind == "part_delta" and part.part_delta_kind == "text":
                answer.text += part.content_delta
        parts = stream.get().parts
    calls = [part for part in parts if part.part_kind == "tool-call"]
    answer.calls = [(call.tool_name, parsed(call.args_as_json_str())) for call in calls]


LIBRARIES: dict[str, Callable[[Models, Answer], Awaitable[None]]] = {
    "failover-iter, restart": restarting,
    "failover-iter, continue": continuing,
    "LiteLLM Router": litellm_router,
    "LiteLLM Router, continue": litellm_continuing,
    "LangChain with_fallbacks": langchain,
    "pydantic-ai FallbackModel": pydantic_ai,
}
#: The contents that each of them can show: texts and tool calls.
SHAPES = [
    name for name, each in ODD_SHAPES.items() if each["openai"].has.keys() <= {"text", "calls"}
]
SECTIONS = {
    "Before any content": BEFORE_CONTENT,
    "Mid-stream": MID_STREAM,
    "What compatible servers send": SHAPES,
    "Request errors": REQUEST_ERRORS,
    "Healthy streams": [fault for fault in HEALTHY if fault != WAITS],
}
CONTINUES, ERROR, SILENT, JOINED, HANGS = "continues", "error", "silent", "joined", "hangs"
LOST = "lost"


async def outcome(harness: Harness, library: str, fault: str) -> str:
    """Run one fault through one library, and return what came of it as one word."""
    continues = library.endswith("continue") and fault in MID_STREAM
    names = harness.model(fault), harness.model("rest" if continues else "ok")
    models = Models(harness, names, SHORT if fault in STALL_FAULTS else LONG)
    answer, error = Answer(), None
    started = asyncio.get_running_loop().time()
    try:
        await LIBRARIES[library](models, answer)
    except Exception as raised:
        error = raised
    seconds = asyncio.get_running_loop().time() - started
    return word(fault, answer, error, seconds, len(harness.requests(models.names[1])))


def word(fault: str, answer: Answer, error: Exception | None, seconds: float, asked: int) -> str:
    """Say in one word what the consumer got."""
    if fault == "ping-stall-after-3" and seconds > PING_SECONDS * 0.9:
        return HANGS
    if error is not None:
        return ERROR
    if asked:
        known = {BACKUP_TEXT: NEXT, FULL_TEXT: CONTINUES}
        joined = answer.text.endswith((BACKUP_TEXT, FULL_TEXT.removeprefix(PARTIAL_TEXT)))
        return known.get(answer.text, JOINED if joined else SILENT)
    if fault in ODD_SHAPES:
        has = ODD_SHAPES[fault]["openai"].has
        calls = [("weather", arguments) for _, arguments in has.get("calls", ())]
        whole = (answer.text, answer.calls) == (has.get("text", ""), calls)
        return WHOLE if whole else LOST
    right = UNICODE_TEXT if fault == "ok-u2028" else BACKUP_TEXT
    return WHOLE if answer.text == right else SILENT


async def _measure(harness: Harness) -> dict[str, dict[str, str]]:
    faults = [fault for section in SECTIONS.values() for fault in section]
    found: dict[str, dict[str, str]] = {fault: {} for fault in faults}
    for library in LIBRARIES:
        # Those that wait run together, apart from the others, whose work would delay them.
        words = await asyncio.gather(*(outcome(harness, library, each) for each in STALL_FAULTS))
        for fault, each in zip(STALL_FAULTS, words, strict=True):
            found[fault][library] = each
        for fault in faults:
            if fault not in STALL_FAULTS:
                found[fault][library] = await outcome(harness, library, fault)
    return found


def measure() -> dict[str, Any]:
    """Run every fault through every library."""
    import_module("litellm").suppress_debug_info = True
    with new_harness([(SDKS["openai-chat"], "async")]) as harness:
        words = harness.run(_measure, harness)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return {"versions": versions, "words": words}


GOOD = {NEXT, CONTINUES, WHOLE}
INTRO = """\
# LLM fallbacks compared

This page is written by `tests/llm/peers.py`; do not edit it. Each library streams from a model that
fails and has a second model to fall back to. All of them use OpenAI's chat completions, async, with
the same server on loopback as [the matrix](llm-matrix.md), no retries of the SDK, and a timeout of
half a second where nothing arrives. No live provider is involved.

{glance}

- **next**: the next model's whole answer was delivered; mid-stream, after a mark that tells the
  consumer to discard what came before.
- **continues**: the next model was asked for the rest, and both parts are the whole answer.
- **whole**: the first model's whole answer was delivered.
- **error**: an error was raised. Mid-stream the consumer keeps half an answer, but knows it.
- **silent**: an empty or incomplete answer looked like a good one.
- **joined**: half of the first answer and all of the second were delivered as one.
- **lost**: tool calls or text were lost or mixed up, without an error.
- **hangs**: the stream waited as long as pings arrived.

"restart" and "continue" are `mid_stream="restart"` and `mid_stream=continue_with("instruct")` of
`chat_stream`, which also has `idle_timeout=0.5`, and `finish="optional"` for `no-finish-reason`.
The second column of LiteLLM has `enable_mid_stream_fallback_continuation`; both have `fallbacks`
and a `stream_timeout`. LangChain has a `stream_chunk_timeout`. pydantic-ai's model is asked through
`model_request_stream`."""


def glance(words: dict[str, dict[str, str]]) -> str:
    """Return a table of the sums: how many faults were survived, and how the others ended."""
    faults = [*BEFORE_CONTENT, *MID_STREAM]
    lines = [
        "| library | survived | raised | silent, joined, lost or hangs |",
        "|---|---|---|---|",
    ]
    for library in LIBRARIES:
        found = [words[fault][library] for fault in faults]
        odd = [words[fault][library] for fault in SHAPES]
        good = sum(each in GOOD for each in found)
        raised = found.count(ERROR)
        lines.append(
            f"| {library} | {good} of {len(found)} | {raised} | {len(found) - good - raised}, and "
            f"{sum(each not in GOOD | {ERROR} for each in odd)} of {len(odd)} odd shapes |"
        )
    return "\n".join(lines)


def table(words: dict[str, dict[str, str]], faults: list[str], expected: str) -> str:
    """Return one table, with a row for each fault."""
    head = "".join(f"<th>{library}</th>" for library in LIBRARIES)
    rows = [f"<tr><th>fault</th>{head}</tr>"]
    for fault in faults:
        cells = "".join(
            f'<td class="{css_class(words[fault][library], expected)}">{words[fault][library]}</td>'
            for library in LIBRARIES
        )
        rows.append(f"<tr><th>{fault}<br><small>{DESCRIPTIONS[fault]}</small></th>{cells}</tr>")
    return "\n".join(['<div class="matrix"><table>', *rows, "</table></div>"])


def css_class(each: str, expected: str) -> str:
    """Return how a cell is coloured."""
    if each == expected or (each in GOOD and expected != ERROR):
        return "good"
    return "plain" if each in GOOD | {ERROR} else "bad"


def page(measured: dict[str, Any]) -> str:
    """Return the text of the page."""
    words = measured["words"]
    sections = [
        f"## {title}\n\n{table(words, faults, ERROR if faults == REQUEST_ERRORS else NEXT)}"
        for title, faults in SECTIONS.items()
    ]
    versions = f"Measured with {', '.join(measured['versions'])}."
    return "\n\n".join([INTRO.format(glance=glance(words)), *sections, versions]) + "\n"


def main() -> None:
    """Measure and write both files."""
    logging.disable()
    warnings.simplefilter("ignore")
    measured = measure()
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(measured), "utf-8")
    print(glance(measured["words"]))


if __name__ == "__main__":
    main()
