"""The faults: what a server does instead of sending a good answer, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from llm.protocols import Protocol


@dataclass(frozen=True)
class Status:
    """An HTTP error status instead of a stream."""

    code: int
    kind: str = ""
    html: bool = False
    retry_after: str | None = None


@dataclass(frozen=True)
class Step:
    """One action of the server."""

    kind: Literal["head", "send", "pause", "reset", "close", "end"]
    data: bytes = b""
    seconds: float = 0.0


HEAD, RESET, CLOSE, END = Step("head"), Step("reset"), Step("close"), Step("end")
PING_SECONDS = 4.5  # seconds
WAIT_FOREVER = Step("pause", seconds=1e9)

TOKENS = ("Because ", "blue ", "light ", "scatters ", "far ", "more.")
BACKUP_TOKENS = ("Its ", "waves ", "are ", "short, ", "so ", "they bend.")
UNICODE_TOKENS = ("a\u2028b ", "c\u2029d ", "e\x85f ", "\U0001f600 ", "\r\n", "end.")
PARTIAL_TEXT = "".join(TOKENS[:3])
FULL_TEXT = "".join(TOKENS)
BACKUP_TEXT = "".join(BACKUP_TOKENS)
UNICODE_TEXT = "".join(UNICODE_TOKENS)

#: The faults that are an HTTP status; those not in REQUEST_ERRORS call for another provider.
STATUSES = {
    "status-408": Status(408),
    "status-429": Status(429),
    "status-429-retry-after-1": Status(429, retry_after="1"),
    "status-429-quota": Status(429, kind="quota"),
    "status-500": Status(500),
    "status-502-html": Status(502, html=True),
    "status-503": Status(503),
    "status-529": Status(529),
    "status-400": Status(400),
    "status-400-context-length": Status(400, kind="context"),
    "status-400-bad-key": Status(400, kind="key"),
    "status-400-no-credit": Status(400, kind="credit"),
    "status-401": Status(401),
    "status-402": Status(402),
    "status-403": Status(403),
    "status-404": Status(404),
    "status-422": Status(422),
}
REQUEST_ERRORS = ["status-400", "status-400-context-length", "status-422"]
#: These call for another provider, before any content.
BEFORE_CONTENT = [
    *(name for name in STATUSES if name not in REQUEST_ERRORS),
    "conn-refused",
    "drop-after-0",
    "fin-after-0",
    "slow-headers",
    "slow-first",
    "error-event-after-0",
    "empty",
    "preamble-only",
    "finish-only",
    "html-200",
    "json-error-200",
]
#: These call for another provider, after some text was delivered.
MID_STREAM = [
    "drop-after-3",
    "fin-after-3",
    "stall-after-3",
    "ping-stall-after-3",
    "error-event-after-3",
    "error-event-alt-after-3",
    "stop-then-error-after-3",
    "cut-after-3",
    "cut-midline-after-3",
    "done-no-finish-after-3",
    "malformed-after-3",
    "unreadable-after-3",
    "failed-finish-after-3",
]
#: Other answers: unusual characters, and continuations with the rest, the whole text or nothing.
TOKENS_OF = {
    "ok-u2028": UNICODE_TOKENS,
    "rest": TOKENS[3:],
    "spaced-rest": (" ", *TOKENS[3:]),
    "echo": TOKENS,
    "nothing-left": (),
}
#: A 400 if the conversation contains part of the answer, else a good answer.
REJECTS_CONTINUATION = "rejects-continuation"
#: Good answers.
HEALTHY = ["ok", "ok-pings", "ok-u2028", "finish-no-done", "slow-tokens"]
#: These last until the client's timeout.
STALL_FAULTS = ["slow-headers", "slow-first", "stall-after-3", "ping-stall-after-3"]
SLOW_FAULTS = [*STALL_FAULTS, "slow-tokens"]


def script(fault: str, protocol: Protocol) -> Iterator[Step]:
    """Yield the server's steps after it has read the request."""
    if fault == "drop-after-0":
        yield RESET
        return
    if fault == "fin-after-0":
        yield CLOSE
        return
    if fault == "slow-headers":
        yield WAIT_FOREVER
        yield CLOSE
        return
    yield HEAD
    if fault == "slow-first":
        yield WAIT_FOREVER
        yield CLOSE
        return
    yield from STREAMS.get(fault, _mid_stream)(fault, protocol)


def _send_all(*data: bytes) -> Iterator[Step]:
    return (Step("send", each) for each in data)


def _ok(fault: str, protocol: Protocol) -> Iterator[Step]:
    tokens = TOKENS_OF.get(fault, BACKUP_TOKENS)
    yield from _send_all(*protocol.start())
    for place, token in enumerate(tokens):
        if fault == "ok-pings":
            yield from _send_all(*protocol.pings())
        if fault == "slow-tokens":
            yield Step("pause", seconds=0.15)
        yield from _send_all(protocol.token(token, place))
    yield from _send_all(*protocol.finish())
    if fault != "finish-no-done":
        yield from _send_all(*protocol.done())
    yield END


def _empty(fault: str, protocol: Protocol) -> Iterator[Step]:
    if fault != "empty":
        yield from _send_all(*protocol.start())
    if fault == "finish-only":
        yield from _send_all(*protocol.finish(), *protocol.done())
    yield END


def _error_first(fault: str, protocol: Protocol) -> Iterator[Step]:
    yield from _send_all(*protocol.start(), *protocol.error())
    yield END


def _special(fault: str, protocol: Protocol) -> Iterator[Step]:
    """Yield answers with other content: tool calls, reasoning, other finish reasons."""
    yield from _send_all(*protocol.special(fault))
    yield END


def _mid_stream(fault: str, protocol: Protocol) -> Iterator[Step]:
    yield from _send_all(*protocol.start())
    for place, token in enumerate(TOKENS[:3]):
        yield from _send_all(protocol.token(token, place))
    # Without a pause the client may read the next step together with the tokens, or a reset
    # may overtake them.
    yield Step("pause", seconds=0.02)
    yield from MID_STREAM_STEPS[fault](protocol)


def _ping_stall(protocol: Protocol) -> Iterator[Step]:
    for _ in range(int(PING_SECONDS / 0.05)):
        yield from _send_all(*protocol.pings())
        yield Step("pause", seconds=0.05)
    yield CLOSE


def _malformed(protocol: Protocol) -> Iterator[Step]:
    yield from _go_on_after(protocol.malformed(), protocol)


def _unreadable(protocol: Protocol) -> Iterator[Step]:
    yield from _go_on_after(protocol.unreadable(), protocol)


def _go_on_after(data: bytes, protocol: Protocol) -> Iterator[Step]:
    """Send this instead of a token, then the rest of the answer as if nothing had happened."""
    yield from _send_all(data)
    for place, token in enumerate(TOKENS[3:], 3):
        yield from _send_all(protocol.token(token, place))
    yield from _send_all(*protocol.finish(), *protocol.done())
    yield END


STREAMS = {
    **dict.fromkeys([*HEALTHY, *TOKENS_OF, REJECTS_CONTINUATION], _ok),
    **dict.fromkeys(["empty", "preamble-only", "finish-only"], _empty),
    "error-event-after-0": _error_first,
    **dict.fromkeys(
        ["tool-calls", "tool-cut", "reasoning", "reasoning-cut", "length", "filtered", "no-usage"],
        _special,
    ),
}
MID_STREAM_STEPS = {
    "drop-after-3": lambda protocol: iter([RESET]),
    "fin-after-3": lambda protocol: iter([CLOSE]),
    "stall-after-3": lambda protocol: iter([WAIT_FOREVER, CLOSE]),
    "ping-stall-after-3": _ping_stall,
    "error-event-after-3": lambda protocol: iter([*_send_all(*protocol.error()), END]),
    "error-event-alt-after-3": lambda protocol: iter([*_send_all(*protocol.other_error()), END]),
    "stop-then-error-after-3": lambda protocol: iter(
        [*_send_all(*protocol.finish(), *protocol.error()), END]
    ),
    "cut-after-3": lambda protocol: iter([END]),
    "cut-midline-after-3": lambda protocol: iter(
        [Step("send", protocol.token(TOKENS[3], 3)[:-12]), END]
    ),
    "done-no-finish-after-3": lambda protocol: iter([*_send_all(*protocol.done()), END]),
    "malformed-after-3": _malformed,
    "unreadable-after-3": _unreadable,
    "failed-finish-after-3": lambda protocol: iter(
        [*_send_all(*(protocol.failed_finish() or ()), *protocol.done()), END]
    ),
}
