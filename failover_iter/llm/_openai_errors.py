"""How an endpoint compatible with OpenAI's reports the error of a chat stream to its client."""

from __future__ import annotations

import json
from math import ceil
from typing import Any, Final

from failover_iter.llm._kinds import ErrorKind, error_kind
from failover_iter.llm._retry_after import requested_delay

#: The HTTP status, the type, the code and the message that the client gets for each kind of error.
#: It may not know the provider's key, account and address, so it gets no message about them.
_ERRORS: Final[dict[ErrorKind, tuple[int, str, str, str]]] = {
    "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded", "too many requests"),
    "quota": (429, "insufficient_quota", "insufficient_quota", "the quota is used up"),
    "overloaded": (503, "server_error", "server_error", "no model could answer"),
    "timeout": (504, "timeout_error", "timeout_error", "the model did not answer in time"),
    "connection": (502, "server_error", "server_error", "the connection to the model broke"),
    "unreadable": (502, "server_error", "server_error", "the model sent no readable answer"),
    "auth": (500, "server_error", "server_error", "the server has no access to the model"),
    "no_model": (404, "invalid_request_error", "model_not_found", "the model does not exist"),
    "context": (400, "invalid_request_error", "context_length_exceeded", ""),
    "filtered": (400, "invalid_request_error", "content_filter", ""),
    "bad_request": (400, "invalid_request_error", "invalid_request_error", ""),
    "unknown": (500, "server_error", "server_error", "internal error"),
}


def _description(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return the status for an error, and what the client is told about it."""
    status, type_, code, message = _ERRORS[error_kind(error)]
    # Without a message of ours, it is about the client's own request.
    return status, {"message": message or str(error), "type": type_, "param": None, "code": code}


def _last_of(error: Exception) -> Exception:
    """Return the last error of a group (`on_exhausted="group"`)."""
    last: Any = error
    while isinstance(last, ExceptionGroup):
        last = last.exceptions[-1]  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    return last  # type: ignore[no-any-return]  # pyright: ignore[reportUnknownVariableType]


def is_bug(error: Exception) -> bool:
    """Whether the error does not come from a provider."""
    return error_kind(_last_of(error)) == "unknown"


def refusal(error: Exception) -> tuple[int, dict[str, str], bytes]:
    """Return the response for an error before the first chunk; raise a bug."""
    last = _last_of(error)
    if is_bug(error):
        raise error
    status, description = _description(last)
    headers = {"content-type": "application/json"}
    delay = requested_delay(last)
    if delay is not None:
        headers["retry-after"] = str(ceil(delay))
    return status, headers, json.dumps({"error": description}).encode()


def error_event(error: Exception) -> bytes:
    """Return the event for an error after the first chunk."""
    _, description = _description(_last_of(error))
    return b"data: " + json.dumps({"error": description}).encode() + b"\n\n"
