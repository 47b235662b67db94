"""`error_kind`: what an error of any SDK means, and the predicates that follow from it.

Errors are recognised by the package and the name of their classes, so no SDK has to be imported: an
SDK that is not loaded cannot have raised the error.
"""

from __future__ import annotations

import errno
from typing import Any, Final, Literal, TypeAlias

from failover_iter.llm._status import codes_of, normalized, status_of

__all__ = ["ErrorKind", "error_kind", "is_lasting", "is_transient", "is_unavailable"]

#: What an error means.
#:
#: - "rate_limit": too many requests; the same provider will answer later.
#: - "quota": the account has no credit, or has used up what it may use.
#: - "overloaded": the provider failed (a 5xx), is overloaded, or reported an error in the stream.
#: - "timeout": it did not answer in time.
#: - "connection": the connection could not be made, or broke; an answer was cut off.
#: - "context": the conversation is too long for this model.
#: - "filtered": a filter refused the conversation or the answer.
#: - "auth": the key or the credentials are missing, wrong or expired, or may not use the model.
#: - "no_model": the model does not exist.
#: - "bad_request": the request is wrong in another way.
#: - "unreadable": what arrived cannot be read, or is empty.
#: - "unknown": no error of a provider.
ErrorKind: TypeAlias = Literal[
    "rate_limit",
    "quota",
    "overloaded",
    "timeout",
    "connection",
    "context",
    "filtered",
    "auth",
    "no_model",
    "bad_request",
    "unreadable",
    "unknown",
]

#: Kinds after which another provider may succeed with the same request.
TRANSIENT: Final = frozenset[ErrorKind](
    {"rate_limit", "quota", "overloaded", "timeout", "connection", "unreadable"}
)
#: Kinds that say that this provider cannot be used, now or until somebody acts.
UNAVAILABLE: Final = TRANSIENT | {"auth", "no_model"}

#: Kinds that do not go away by asking the same provider again.
LASTING: Final = frozenset[ErrorKind]({"quota", "auth", "no_model"})

#: Codes that mean something else than the HTTP status that they come with, normalized.
_CODE_KINDS: Final[dict[str, ErrorKind]] = {
    # Ours
    "cut": "connection",
    "empty": "unreadable",
    "hole": "unreadable",
    "notaccepted": "unreadable",
    "refusal": "filtered",
    # OpenAI and compatible endpoints
    "capacityexceeded": "overloaded",
    "contentfilter": "filtered",
    "contentpolicyviolation": "filtered",
    "contextlengthexceeded": "context",
    "deploymentnotfound": "no_model",
    "imagecontentpolicyviolation": "filtered",
    "insufficientquota": "quota",
    "invalidapikey": "auth",
    "modelnotfound": "no_model",
    "ratelimitexceeded": "rate_limit",
    "stringabovemaxlength": "context",
    # Anthropic
    "billingerror": "quota",
    # AWS
    "expiredtokenexception": "auth",
    "modelerrorexception": "overloaded",
    "modelnotreadyexception": "overloaded",
    "servicequotaexceededexception": "quota",
    "unrecognizedclientexception": "auth",
}
_STATUS_KINDS: Final[dict[int, ErrorKind]] = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "no_model",
    408: "timeout",
    409: "overloaded",
    413: "context",
    424: "overloaded",  # Bedrock: the model failed
    425: "overloaded",
    429: "rate_limit",
    498: "overloaded",  # Groq: over capacity
    499: "connection",  # Google: the request was cancelled
    504: "timeout",
}
#: With status 400 Anthropic reports an account without credit, and Google an invalid key; most
#: providers do so for a conversation that is too long. Lower case.
_PHRASE_KINDS: Final[dict[str, ErrorKind]] = {
    "credit balance": "quota",
    "insufficient credits": "quota",
    "insufficient balance": "quota",
    "api key not valid": "auth",
    "api_key_invalid": "auth",
    "maximum context length": "context",
    "context window": "context",
    "prompt is too long": "context",
    "input is too long": "context",
    "too many tokens": "context",
    "exceeds the maximum number of tokens": "context",
    "content management policy": "filtered",
    "content filter": "filtered",
}
#: The statuses whose meaning the phrases may change.
_VAGUE: Final = frozenset({400, 403, 413, 422})

_STAINLESS: Final[dict[str, ErrorKind]] = {
    "APITimeoutError": "timeout",
    "APIConnectionError": "connection",
    "APIResponseValidationError": "unreadable",
    "APIError": "overloaded",
    "ContentFilterFinishReasonError": "filtered",
}
_HTTPX: Final[dict[str, ErrorKind]] = {
    "UnsupportedProtocol": "unknown",  # a wrong address
    "LocalProtocolError": "unknown",
    "TimeoutException": "timeout",
    "TransportError": "connection",
    "DecodingError": "unreadable",
}
_RESOURCES: Final[dict[str, ErrorKind]] = {
    "BrokenResourceError": "connection",
    "ClosedResourceError": "connection",
}
#: By package and name, the kind of an exception that an SDK raises, or a library that it uses, if
#: neither a code nor a status says more. Of its base classes, the nearest in this table counts.
_CLASS_KINDS: Final[dict[str, dict[str, ErrorKind]]] = {
    "openai": _STAINLESS,
    "groq": _STAINLESS,
    "anthropic": _STAINLESS,
    "google": {
        "APIError": "overloaded",
        "UnknownApiResponseError": "unreadable",
        "TransportError": "connection",
        "DefaultCredentialsError": "auth",
        "RefreshError": "auth",
    },
    "mistralai": {
        "ResponseValidationError": "unreadable",
        "NoResponseError": "connection",
        "MistralError": "overloaded",
        "SDKError": "overloaded",
    },
    "cohere": {"ApiError": "overloaded", "SSEError": "unreadable"},
    "ollama": {"ResponseError": "overloaded"},
    "botocore": {
        "NoCredentialsError": "auth",
        "PartialCredentialsError": "auth",
        "CredentialRetrievalError": "auth",
        "TokenRetrievalError": "auth",
        "NoAuthTokenError": "auth",
        "SSOError": "auth",
        "ReadTimeoutError": "timeout",
        "ConnectTimeoutError": "timeout",
        "InvalidProxiesConfigError": "unknown",
        "ConnectionError": "connection",
        "HTTPClientError": "connection",
        "ParserError": "unreadable",
        "ResponseParserError": "unreadable",
        "ClientError": "overloaded",
    },
    "litellm": {
        "ContextWindowExceededError": "context",
        "ContentPolicyViolationError": "filtered",
        "Timeout": "timeout",
        "APIConnectionError": "connection",
        "APIError": "overloaded",
        "BaseLLMException": "overloaded",
    },
    "httpx": _HTTPX,
    "httpx2": _HTTPX,
    "aiohttp": {
        "InvalidURL": "unknown",
        "ClientConnectionError": "connection",
        "ClientPayloadError": "connection",
        "ClientResponseError": "overloaded",
    },
    "urllib3": {
        "LocationValueError": "unknown",
        "TimeoutError": "timeout",
        "HTTPError": "connection",
    },
    "requests": {
        "InvalidURL": "unknown",
        "Timeout": "timeout",
        "ConnectionError": "connection",
        "ChunkedEncodingError": "connection",
        "ContentDecodingError": "unreadable",
    },
    "http": {"HTTPException": "connection"},
    "ssl": {"SSLError": "connection"},
    "socket": {"gaierror": "connection", "herror": "connection"},
    "anyio": _RESOURCES,
    "trio": _RESOURCES,
    "json": {"JSONDecodeError": "unreadable"},
    "builtins": {"ConnectionError": "connection", "TimeoutError": "timeout"},
}
#: An OSError of these numbers means that the network or the host cannot be reached.
_UNREACHABLE: Final = frozenset(
    {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}
)
#: The pydantic models into which mistralai 1, google-genai and ollama read what arrives.
_RESPONSE_MODELS: Final = frozenset({"Unmarshaller", "GenerateContentResponse", "ChatResponse"})


class KnownKind(Exception):
    """The base class of the error that knows its kind, `ProviderError`."""

    kind: ErrorKind


def error_kind(error: BaseException) -> ErrorKind:
    """Return what an error means, in the same words for every SDK.

    It recognises the errors of the SDKs that `failover_iter.llm` has adapters for, and those of the
    libraries that these SDKs let through (httpx, aiohttp, urllib3, requests, json, ssl, socket). It
    imports none of these packages.

    Args:
        error: An exception raised by a source.

    Example:
        >>> from failover_iter.llm import error_kind
        >>> error_kind(TimeoutError()), error_kind(ConnectionResetError()), error_kind(KeyError())
        ('timeout', 'connection', 'unknown')
    """
    if isinstance(error, KnownKind):
        return error.kind
    by_class = _class_kind(error)
    if by_class not in TRANSIENT:
        return by_class
    return kind_of(codes_of(error), status_of(error), _message(error)) or by_class


def _class_kind(error: BaseException) -> ErrorKind:
    """Return the kind of the nearest known class."""
    for base in type(error).__mro__:
        package = base.__module__.partition(".")[0]
        known = _CLASS_KINDS.get(package, {}).get(base.__name__)
        if known is not None:
            return known
    is_unreachable = isinstance(error, OSError) and error.errno in _UNREACHABLE
    # Some SDKs let the errors of their own pydantic models through.
    is_response = type(error).__name__ == "ValidationError" and _title(error) in _RESPONSE_MODELS
    return "connection" if is_unreachable else "unreadable" if is_response else "unknown"


def _title(error: Any) -> object:
    return getattr(error, "title", None)


def kind_of(codes: list[object], status: int | None, message: str) -> ErrorKind | None:
    """Return the kind of an error with these codes, this status and this message."""
    for code in codes:
        kind = _CODE_KINDS.get(normalized(code))
        if kind is not None:
            return kind
    if status is None or status in _VAGUE:
        text = message.casefold()
        for phrase, kind in _PHRASE_KINDS.items():
            if phrase in text:
                return kind
    if status is None:
        return None
    kind_of_class: ErrorKind = "overloaded" if status >= 500 else "bad_request"  # noqa: PLR2004
    return _STATUS_KINDS.get(status, kind_of_class)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (an exception of an SDK may be anything)
        return ""


def is_transient(error: Exception) -> bool:
    """Whether another provider may succeed with the same request; the default of `retry_on`.

    True for the kinds "rate_limit", "quota", "overloaded", "timeout", "connection" and "unreadable"
    (see `error_kind`). False for all others: another provider would get the same bad request, and a
    bug in your code is not an outage.

    Args:
        error: An exception raised by a source.

    Example:
        >>> from failover_iter.llm import is_transient
        >>> is_transient(TimeoutError()), is_transient(ConnectionResetError())
        (True, True)
        >>> is_transient(KeyError("choices"))
        False
    """
    return error_kind(error) in TRANSIENT


def is_unavailable(error: Exception) -> bool:
    """Whether this provider cannot be used: a transient error, no access, or no such model.

    A wider choice for `retry_on` than `is_transient`: it is also true for the kinds "auth" and
    "no_model". Note that an expired key then shows up only in the log.

    Args:
        error: An exception raised by a source.

    Example:
        >>> from failover_iter.llm import ProviderError, is_transient, is_unavailable
        >>> error = ProviderError("who are you?", code="authentication_error")
        >>> is_transient(error), is_unavailable(error)
        (False, True)
    """
    return error_kind(error) in UNAVAILABLE


def is_lasting(error: Exception) -> bool:
    """Whether it is useless to ask the same provider again; the default of `switch_on`.

    True for the kinds "quota", "auth" and "no_model" (see `error_kind`): somebody has to act first.
    The stream leaves the source at once, whatever `attempts` are left.

    Args:
        error: An exception raised by a source.

    Example:
        >>> from failover_iter.llm import ProviderError, is_lasting
        >>> is_lasting(ProviderError("no credit", status=402)), is_lasting(TimeoutError())
        (True, False)
    """
    return error_kind(error) in LASTING
