"""The HTTP status of an error, or the status that its code corresponds to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

_SERVER, _TOO_MANY, _REQUEST, _OVERLOADED = 500, 429, 400, 529

#: Error codes of the providers and the HTTP status that each corresponds to. They identify an error
#: without a status, in a stream that began with a 200. Lower case, without underscores.
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
    # OpenAI and compatible endpoints
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
    "modelerrorexception": 424,
    "modelnotreadyexception": _TOO_MANY,
    "servicequotaexceededexception": _REQUEST,
    "throttlingexception": _TOO_MANY,
    "validationexception": _REQUEST,
}


def normalized(code: object) -> str:
    """Return an error code in lower case, without underscores."""
    return str(code).replace("_", "").casefold()


def status_of_code(code: object) -> int | None:
    """Return the HTTP status that an error code corresponds to, or None; a number is a status."""
    if isinstance(code, int):
        return code if code >= _REQUEST else None
    if not isinstance(code, str):
        return None
    if code.isdecimal():
        return status_of_code(int(code))
    return _CODES.get(normalized(code))


def codes_of(error: BaseException) -> list[object]:
    """Return the codes and statuses of an SDK's error, from wherever the SDK keeps them."""
    return [*_attribute_codes(error), *_aws_codes(error), *_body_codes(error)]


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of an SDK's error, or the status that its code corresponds to."""
    statuses = map(status_of_code, codes_of(error))
    return next((status for status in statuses if status is not None), None)


def _attribute_codes(error: Any) -> Iterable[object]:
    # aiohttp uses `status`, google-genai `code`; openai's code is a word.
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
    """Return the value if it is a mapping, else an empty one: a provider may send anything."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
