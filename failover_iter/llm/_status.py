"""What an error says of itself: its HTTP status, or what its code stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

_SERVER, _TOO_MANY, _REQUEST, _OVERLOADED = 500, 429, 400, 529

#: What providers call their errors where there is no status: in a stream that began with a 200.
#: Written without case and underscores.
_CODES: Final = {
    # Anthropic
    "apierror": _SERVER,
    "authenticationerror": 401,
    "billingerror": 402,
    "invalidrequesterror": _REQUEST,
    "notfounderror": 404,
    "overloadederror": _OVERLOADED,
    "permissionerror": 403,
    "ratelimiterror": _TOO_MANY,
    "requesttoolarge": 413,
    "timeouterror": 504,
    # OpenAI, and what speaks its protocol
    "badrequesterror": _REQUEST,
    "contextlengthexceeded": _REQUEST,
    "insufficientquota": _TOO_MANY,
    "internalservererror": _SERVER,
    "invalidapikey": 401,
    "invalidprompt": _REQUEST,
    "modelnotfound": 404,
    "ratelimitexceeded": _TOO_MANY,
    "servererror": _SERVER,
    # Google
    "deadlineexceeded": 504,
    "failedprecondition": _REQUEST,
    "internal": _SERVER,
    "invalidargument": _REQUEST,
    "notfound": 404,
    "permissiondenied": 403,
    "resourceexhausted": _TOO_MANY,
    "unauthenticated": 401,
    "unavailable": 503,
    # AWS
    "accessdeniedexception": 403,
    "internalserverexception": _SERVER,
    "modelstreamerrorexception": _SERVER,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
    "serviceunavailableexception": 503,
    "throttlingexception": _TOO_MANY,
    "validationexception": _REQUEST,
}

#: Too early, a lock, a time-out, too many: worth trying elsewhere, as is whatever is the server's.
_TRANSIENT: Final = frozenset({408, 409, 425, _TOO_MANY})


def is_transient_status(status: int) -> bool:
    """Whether a status says that another provider may do better with the same request."""
    return status in _TRANSIENT or status >= _SERVER


def status_of_code(code: object) -> int | None:
    """The HTTP status that an error code stands for; a number is one itself."""
    if isinstance(code, int):
        return code if code >= _REQUEST else None
    if not isinstance(code, str):
        return None
    if code.isdecimal():
        return status_of_code(int(code))
    return _CODES.get(code.replace("_", "").casefold())


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an SDK's error; of one in a stream that began well, what it stands for."""
    for said in (*_attribute_codes(error), *_aws_codes(error), *_body_codes(error)):
        status = status_of_code(said)
        if status is not None:
            return status
    return None


def _attribute_codes(error: Any) -> Iterable[object]:
    # aiohttp says `status`, google-genai `code`; the code of openai is a word.
    names = ("status_code", "status", "code", "type")
    response = getattr(error, "response", None)
    return [getattr(error, name, None) for name in names] + [getattr(response, "status_code", None)]


def _aws_codes(error: Any) -> list[object]:
    response = as_mapping(getattr(error, "response", None))
    status = as_mapping(response.get("ResponseMetadata")).get("HTTPStatusCode")
    return [status, as_mapping(response.get("Error")).get("Code")]


def _body_codes(error: Any) -> list[object]:
    body = as_mapping(getattr(error, "body", None))
    body = as_mapping(body.get("error")) or body
    return [body.get("code"), body.get("status_code"), body.get("type")]


def as_mapping(value: object) -> Mapping[str, Any]:
    """A value as a as_mapping, empty where it is none: what comes over the wire may be anything."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
