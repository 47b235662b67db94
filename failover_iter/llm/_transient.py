"""`is_transient` and `is_unavailable`: whether another provider may succeed.

Errors are recognised by the package and the name of their classes, so no SDK has to be imported: an
SDK that is not loaded cannot have raised the error.
"""

from __future__ import annotations

from typing import Final

from failover_iter.llm._errors import ProviderError
from failover_iter.llm._status import is_transient_status, status_of

__all__ = ["is_transient", "is_unavailable"]

_HTTPX: Final = ("TransportError", "DecodingError")
_API: Final = ("APIError",)
#: By package, the exceptions that an SDK, or a library that it uses, raises if a connection or a
#: stream breaks or the provider reports an error. If the error has a status, the status decides.
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
#: Subclasses of these that report a wrong configuration of the client, such as an invalid address.
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
#: With status 400 Anthropic reports an account without credit, and Google an invalid key.
_NO_ACCESS_PHRASES: Final = ("credit balance", "api key not valid", "api_key_invalid")
_NO_CREDENTIALS: Final = {("botocore", "NoCredentialsError"), ("botocore", "NoAuthTokenError")}


def is_transient(error: Exception) -> bool:
    """Whether another provider may succeed with the same request; the default of `retry_on`.

    True for the statuses 408, 409, 425, 429 and 5xx, for connections that fail, time out or break,
    for answers that cannot be read, and for a `ProviderError` that does not blame the request.
    False for all other statuses (400, 401, 403, 404, 422, ...) and for all other exceptions: a bug
    in your code is not an outage. It recognises the errors of the SDKs that `failover_iter.llm` has
    adapters for, and the errors of httpx, aiohttp, urllib3 and json that these SDKs let through. It
    imports none of these packages.

    Args:
        error: An exception raised by a source.

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
    """Whether this provider cannot be used now: a transient error, or a lack of access.

    A wider choice for `retry_on` than `is_transient`: it is also true for the statuses 401, 402 and
    403, for an invalid key and for an account without credit, even if the provider reports these
    with a 400. Note that an expired key then shows up only in the log.

    Args:
        error: An exception raised by a source.

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
    """Return the package and name of an error's class and of each base class."""
    return {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__}
