"""Mutants of the LLM adapters and of `collect`: each is a naive version of one part, with one bug.

Each names the tests that have to fail with it. A test may be called with the harness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from failover_iter.llm import _collect, _kinds, _messages, _opening
from failover_iter.llm._adapters import openai_chat, openai_responses
from failover_iter.llm._answer import Answer
from llm import (
    test_adapter_edge_cases,
    test_all_content_of_fakes,
    test_background,
    test_collect,
    test_compatible_servers,
    test_forms,
    test_kinds,
    test_refusals,
    test_usage,
    test_whose_answer,
)
from llm.contents import CONTENTS
from llm.faults import BACKUP_TEXT
from llm.harness import Harness
from llm.parts import is_whole
from llm.sdks import SDKS

OPENAI, ANTHROPIC = SDKS["openai-chat"], SDKS["anthropic"]
Killer = Callable[[Harness], object]


@dataclass(frozen=True)
class Mutant:
    """A part that is replaced, its imitation, and a test that notices it."""

    name: str
    owner: Any
    attribute: str
    imitation: Any
    killer: Killer


def content(fault: str) -> Killer:
    """Return a test of the matrix: all of this answer is delivered."""

    def test(harness: Harness) -> None:
        source = harness.source(OPENAI, "sync", harness.model(fault))
        items, error = harness.deliver("sync", [source])
        assert error is None
        assert is_whole(items, CONTENTS[fault][OPENAI.protocol])

    return test


def backup(fault: str) -> Killer:
    """Return a test of the matrix: after this fault the next provider answers."""

    def test(harness: Harness) -> None:
        sources = [harness.source(OPENAI, "sync", harness.model(each)) for each in (fault, "ok")]
        items, error = harness.deliver("sync", sources, mid_stream="restart", mark_takeovers=True)
        assert error is None
        assert "".join(getattr(item, "text", "") for item in items).endswith(BACKUP_TEXT)
        assert items[-1].finish_reason == "stop"

    return test


def kinds(_: Harness) -> None:
    """Run the whole table of errors and their kinds."""
    (mark,) = test_kinds.test_what_an_error_is.pytestmark  # type: ignore[attr-defined]
    for error, kind in mark.args[1]:
        test_kinds.test_what_an_error_is(error, kind)


def without_harness(test: Callable[..., object], *arguments: Any) -> Killer:
    """Return a test that needs no server."""
    return lambda _: test(*arguments)


def with_harness(test: Callable[..., object], *arguments: Any) -> Killer:
    """Return a test that needs the server."""
    return lambda harness: test(harness, *arguments)


# --- collect


def clears_the_text_alone(self: Any) -> None:
    """A restart keeps the tool calls, so half a call is joined with a whole one."""
    fields = vars(self).setdefault
    self.text, self.reasoning, self.last = [], [], None
    fields("calls", {}), fields("others", []), fields("opaque", [])


def clears_the_usage_too(self: Any) -> None:
    """A restart forgets what the discarded attempt has cost."""
    RESTART(self)
    self.usage = []


def counts_twice(self: Any, chunk: Any) -> None:
    """The usage of the last chunk is added with the chunk, and again as that of the attempt."""
    ADD(self, chunk)
    if chunk.usage:
        self.usage.append(self.usage[-1])


RESTART, ADD = _collect._Collector.restart, _collect._Collector._add

# --- one answer


def trusts_a_clean_end(self: Any) -> Any:
    """An answer whose iterator ends is complete."""
    self.reason = self.reason or "stop"
    return LAST(self)


def takes_nothing_for_an_answer(self: Any) -> Any:
    """A finish reason without any content is an answer."""
    self.is_continuation = True
    return LAST(self)


def takes_each_reason_for_an_end(self: Any, reason: str | None, raw: object) -> None:
    """No finish reason means a failure."""
    self.reason, self.reason_event = reason or self.reason, raw


def nothing(*_: Any) -> Iterator[Any]:
    """Everything but text, reasoning and tool calls is dropped."""
    return iter(())


def counts_as_content(self: Any, part: Any, raw: object) -> Iterator[Any]:
    """A signature commits to the answer."""
    self.has_content = True
    yield self._chunk(raw, opaque=part)


def delivers_refusals(self: Any, *arguments: Any, **options: Any) -> None:
    """A refusal is always an answer."""
    INIT(self, *arguments, **options | {"refusals": "answer"})


def believes_stop(self: Any, reason: str) -> Any:
    """A server that says "stop" after a tool call is believed."""
    return self.finish_reasons.get(reason, "other")


LAST, INIT = Answer._last, Answer.__init__

# --- one opening


def always_continues(self: Any) -> None:
    """Each answer claims to continue the one before it."""
    BEGIN(self)
    self.answer.continues = True


def reads_without_care(self: Any, event: Any) -> Any:
    """An event of a form that nobody expected is a bug."""
    return list(self.answer.read(event))


def forgets_failed_usage(self: Any) -> Any:
    """The usage of failed attempts is not reported."""
    return self.answer.end()


def reports_failed_usage_twice(self: Any) -> None:
    """The usage of a failed attempt is counted twice."""
    before = len(self.context.failed_usage)
    SETTLE(self)
    self.context.failed_usage += self.context.failed_usage[before:]


def posts_again(self: Any, response_id: str, text: str) -> Iterator[Any]:
    """A background response whose stream broke is ordered, and paid for, again."""
    self._begin()
    yield self.factory.prepare(dict(self.factory.arguments))


def believes_the_last_event(self: Any, response: Any, event: Any) -> Iterator[Any]:
    """The last event of a background response holds all of it: deliver all of it."""
    self.delivered_text, self.delivered_opaque = "", []
    return MISSING(self, response, event)


BEGIN, SETTLE = _opening.Opening._begin, _opening.Opening.settle
MISSING = openai_responses.OpenAIResponsesAnswer.read_missing

# --- chat completions


def by_index_alone(self: Any, index: object, call_id: str | None) -> object:
    """The number tells tool calls apart, as in OpenAI's own answers."""
    return index or 0


def each_id_is_a_call(self: Any, index: object, call_id: str | None) -> object:
    """Each piece with an id starts a new tool call."""
    if call_id:
        self.current[index] = object(), call_id
    return self.current[index][0]


def arguments_as_they_print(
    self: Any, key: object, call_id: str | None, function: Any, event: object
) -> Iterator[Any]:
    """Arguments that are an object become the text that Python prints for it."""
    yield from self.tool(
        key, event, id=call_id, name=function.name, arguments=str(function.arguments)
    )


def first_name_only(value: object, *names: str) -> Any:
    """A member always has OpenAI's name for it."""
    return openai_chat.field(value, names[0])


# --- errors and messages


def by_status_alone(codes: list[object], status: int | None, message: str) -> Any:
    """The HTTP status says what an error means."""
    return KIND_OF([], status, "")


def without_phrases(codes: list[object], status: int | None, message: str) -> Any:
    """The message of a 400 says nothing."""
    return KIND_OF(codes, status, "")


def for_everyone(self: Any, provider: str) -> Any:
    """Signatures go to each provider, whoever signed."""
    return [part for _, part in self.opaque]


KIND_OF = _kinds.kind_of
_FAKE = test_all_content_of_fakes.test_it_is_delivered_from_a_fake
_COLLECTOR, _OPENING = _collect._Collector, _opening.Opening
_KEYS, _CHAT = openai_chat.ToolCallKeys, openai_chat.OpenAIChatAnswer
RESTARTED = without_harness(test_collect.test_restart)
FAILED_USAGE = with_harness(test_usage.test_attempts_that_failed, ANTHROPIC, "sync", "raise")

MUTANTS = [
    Mutant(
        "joins answers of one model",
        _COLLECTOR,
        "_check_takeover",
        lambda self, last, chunk: None,
        without_harness(test_collect.test_unmarked_restart_of_an_adapter),
    ),
    Mutant("joins half a tool call", _COLLECTOR, "restart", clears_the_text_alone, RESTARTED),
    Mutant("forgets discarded usage", _COLLECTOR, "restart", clears_the_usage_too, RESTARTED),
    Mutant("counts usage twice", _COLLECTOR, "_add", counts_twice, RESTARTED),
    Mutant("forgets failed usage", _OPENING, "end", forgets_failed_usage, FAILED_USAGE),
    Mutant(
        "counts failed usage twice",
        _OPENING,
        "settle",
        reports_failed_usage_twice,
        FAILED_USAGE,
    ),
    Mutant("trusts a clean end", Answer, "_last", trusts_a_clean_end, backup("cut-after-3")),
    Mutant(
        "takes nothing for an answer",
        Answer,
        "_last",
        takes_nothing_for_an_answer,
        backup("finish-only"),
    ),
    Mutant(
        "takes each reason for an end",
        Answer,
        "set_finish_reason",
        takes_each_reason_for_an_end,
        with_harness(test_compatible_servers.test_reasons_that_mean_a_failure, "sync", "abort"),
    ),
    Mutant("loses images", Answer, "other", nothing, without_harness(_FAKE, "gemini")),
    Mutant("loses signatures", Answer, "opaque", nothing, without_harness(_FAKE, "bedrock")),
    Mutant(
        "commits to a signature",
        Answer,
        "opaque",
        counts_as_content,
        without_harness(test_all_content_of_fakes.test_a_signature_is_not_content),
    ),
    Mutant(
        "delivers refusals",
        Answer,
        "__init__",
        delivers_refusals,
        without_harness(test_refusals.test_bedrock_and_gemini_from_fakes),
    ),
    Mutant(
        "believes stop", Answer, "normalized_reason", believes_stop, content("calls-in-one-delta")
    ),
    Mutant(
        "always continues",
        _OPENING,
        "_begin",
        always_continues,
        with_harness(test_whose_answer.test_two_deployments_of_a_model, OPENAI, "sync"),
    ),
    Mutant(
        "reads without care", _OPENING, "read", reads_without_care, backup("unreadable-after-3")
    ),
    Mutant(
        "posts again",
        _OPENING,
        "_reattach",
        posts_again,
        with_harness(test_background.test_its_stream_goes_on, "sync"),
    ),
    Mutant(
        "delivers a response twice",
        openai_responses.OpenAIResponsesAnswer,
        "read_missing",
        believes_the_last_event,
        with_harness(test_background.test_the_last_event_repeats_nothing, "sync", 4),
    ),
    Mutant(
        "repeats the prefill",
        Answer,
        "_without_repeat",
        lambda self, text: text,
        without_harness(test_adapter_edge_cases.test_repeated_prefill),
    ),
    Mutant("calls by index", _KEYS, "key", by_index_alone, content("call-index-0")),
    Mutant("a call for each id", _KEYS, "key", each_id_is_a_call, content("call-id-repeated")),
    Mutant(
        "arguments as they print",
        _CHAT,
        "read_tool_call",
        arguments_as_they_print,
        content("arguments-an-object"),
    ),
    Mutant(
        "the delta alone", openai_chat, "first_of", first_name_only, content("message-for-delta")
    ),
    Mutant(
        "usage by one name",
        openai_chat,
        "first_of",
        first_name_only,
        content("usage-named-otherwise"),
    ),
    Mutant(
        "choices by index",
        openai_chat,
        "asks_for_several",
        lambda arguments: True,
        content("choice-index-counts-up"),
    ),
    Mutant("kinds by status", _kinds, "kind_of", by_status_alone, kinds),
    Mutant(
        "kinds without phrases",
        _kinds,
        "kind_of",
        without_phrases,
        backup("status-400-no-credit"),
    ),
    Mutant(
        "signatures for everyone",
        _messages.Turn,
        "opaque_of",
        for_everyone,
        without_harness(test_forms.test_a_message_as_turns),
    ),
]
