"""`is_transient` and `is_unavailable`: whether another provider may do better.

An error is known by the package and the name of its classes, so no SDK is imported for it: an
error of one that is not loaded cannot be met.
"""

from __future__ import annotations

from typing import Final

from failover_iter.llm._errors import ProviderError
from failover_iter.llm._status import is_transient_status, status_of

__all__ = ["is_transient", "is_unavailable"]

_HTTPX: Final = ("TransportError", "DecodingError")
_API: Final = ("APIError",)
#: What an SDK and the libraries under it let through when a connection or a stream breaks, or for
#: an error of the provider; where there is a status it decides.
_TRANSIENT_CLASSES: Final = {
    "openai": _API,
    "groq": _API,
    "anthropic": _API,
    "google": ("APIError", "TransportError", "UnknownApiResponseError"),
    "mistralai": ("MistralError", "NoResponseError"),
    "cohere": ("ApiError", "SSEError"),
    "ollama": ("ResponseError",),
    "botocore": (
        "ClientError",
        "ConnectionError",
        "HTTPClientError",
        "ParserError",
        "ResponseParserError",
    ),
    "litellm": ("APIError", "BaseLLMException"),
    "httpx": _HTTPX,
    "httpx2": _HTTPX,
    "aiohttp": ("ClientConnectionError", "ClientPayloadError", "ClientResponseError"),
    "urllib3": ("HTTPError",),
    "json": ("JSONDecodeError",),
    "builtins": ("ConnectionError", "TimeoutError"),
}
_TRANSIENT: Final = {(root, name) for root, names in _TRANSIENT_CLASSES.items() for name in names}
#: Of these families, but the fault of whoever set the client up: an address that is none.
_CONFIGURATION_ERRORS: Final = {
    ("aiohttp", "InvalidURL"),
    ("botocore", "InvalidProxiesConfigError"),
    ("httpx", "LocalProtocolError"),
    ("httpx", "UnsupportedProtocol"),
    ("httpx2", "LocalProtocolError"),
    ("httpx2", "UnsupportedProtocol"),
    ("urllib3", "LocationValueError"),
}
_NO_ACCESS_STATUSES: Final = frozenset({401, 402, 403})
#: How Anthropic says that an account is empty, and Google that a key is wrong: with a 400.
_NO_ACCESS_PHRASES: Final = ("credit balance", "api key not valid", "api_key_invalid")
_NO_CREDENTIALS: Final = {("botocore", "NoCredentialsError"), ("botocore", "NoAuthTokenError")}


def is_transient(error: Exception) -> bool:
    """Whether another provider may do better with the same request: the default of `retry_on`.

    True for 408, 409, 425, 429 and 5xx, for connections that fail, time out or break, for answers
    that cannot be read, and for a `ProviderError` which is not the request's fault. False for all
    other statuses (400, 401, 403, 404, 422, ...) and for all other exceptions: a bug in your code
    is no outage. Knows the errors of the SDKs that `failover_iter.llm` has adapters for, and those
    of httpx, aiohttp, urllib3 and json which they let through; imports none of them.

    Args:
        error: what a source raised.

    Example:
        >>> from failover_iter.llm import is_transient
        >>> is_transient(TimeoutError()), is_transient(ConnectionResetError())
        (True, True)
        >>> is_transient(KeyError("choices"))
        False
    """
    if isinstance(error, ProviderError):
        return not error.request_error
    names = _class_names(error)
    if not names & _TRANSIENT or names & _CONFIGURATION_ERRORS:
        return False
    status = status_of(error)
    return status is None or is_transient_status(status)


def is_unavailable(error: Exception) -> bool:
    """Whether this provider cannot be used now: `is_transient`, or no access to it.

    The wider choice for `retry_on`: also true for 401, 402 and 403, for a wrong key and for an
    account without credit, also where the provider says so with a 400. Mind that with it a key
    that has run out is noticed in the log alone.

    Args:
        error: what a source raised.

    Example:
        >>> from failover_iter.llm import ProviderError, is_transient, is_unavailable
        >>> error = ProviderError("no credit", code="billing_error")
        >>> is_transient(error), is_unavailable(error)
        (False, True)
    """
    return is_transient(error) or _has_no_access(error)


def _has_no_access(error: Exception) -> bool:
    names = _class_names(error)
    if names & _NO_CREDENTIALS:
        return True
    if not (isinstance(error, ProviderError) or names & _TRANSIENT):
        return False
    message = str(error).casefold()
    return status_of(error) in _NO_ACCESS_STATUSES or any(
        words in message for words in _NO_ACCESS_PHRASES
    )


def _class_names(error: Exception) -> set[tuple[str, str]]:
    """Package and name of each class of an error."""
    return {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__}
