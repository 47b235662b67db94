"""`error_kind`, for errors of SDKs that need not be installed."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import subprocess
import sys
from json import JSONDecodeError
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter.llm import ProviderError, error_kind, is_transient, is_unavailable
from failover_iter.llm._kinds import TRANSIENT


def error_of(
    module: str, name: str, base: type[Exception] = Exception, **attributes: Any
) -> Exception:
    """Return an error whose class has this name and this module."""
    error = type(name, (base,), {"__module__": module})("no")
    error.__dict__.update(attributes)
    return error


def aws(code: str, status: int) -> Exception:
    """Return an error of boto3's."""
    response = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}}
    return error_of("botocore.exceptions", "ClientError", response=response)


def groq(code: str, status: int) -> Exception:
    """Return an error of Groq's."""
    return error_of("groq", "APIError", status_code=status, body={"error": {"code": code}})


TransportError = type(error_of("httpx", "TransportError"))


class Hostile(type(error_of("openai", "APIError"))):  # type: ignore[misc]
    """An error whose text cannot be read."""

    def __str__(self) -> str:
        raise ValueError("no text")


ERRORS = [
    # By status.
    (error_of("openai", "APIError", status_code=429), "rate_limit"),
    (error_of("openai", "APIError", status_code=400), "bad_request"),
    (error_of("openai", "APIError", status_code=402), "quota"),
    (error_of("google.genai.errors", "APIError", code=503, status="UNAVAILABLE"), "overloaded"),
    (error_of("google.genai.errors", "APIError", code=404, status="NOT_FOUND"), "no_model"),
    (error_of("mistralai.client.errors", "MistralError", status_code=409), "overloaded"),
    (error_of("cohere.core", "ApiError", status_code=425), "overloaded"),
    (error_of("cohere.core", "ApiError", status_code=403), "auth"),
    (error_of("aiohttp.client_exceptions", "ClientResponseError", status=502), "overloaded"),
    (error_of("aiohttp.client_exceptions", "ClientResponseError", status=401), "auth"),
    (error_of("groq", "APIError", response=SimpleNamespace(status_code=500)), "overloaded"),
    # In a stream that began with a 200.
    (error_of("openai", "APIError"), "overloaded"),
    (error_of("openai", "APIError", code="context_length_exceeded"), "context"),
    (error_of("openai", "APIError", type="invalid_request_error"), "bad_request"),
    (error_of("anthropic", "APIError", status_code=200, type="overloaded_error"), "overloaded"),
    (
        error_of("anthropic", "APIError", status_code=200, type="invalid_request_error"),
        "bad_request",
    ),
    (
        error_of(
            "anthropic", "APIError", status_code=200, body={"error": {"type": "billing_error"}}
        ),
        "quota",
    ),
    (error_of("groq", "APIError", body={"code": "rate_limit_exceeded"}), "rate_limit"),
    (error_of("groq", "APIError", body={"code": "400"}), "bad_request"),
    (error_of("ollama._types", "ResponseError", status_code=-1), "overloaded"),
    (error_of("mistralai.client.errors", "MistralError", status_code=200), "overloaded"),
    (
        error_of(
            "botocore.exceptions",
            "ClientError",
            response={"Error": {"Code": "throttlingException"}},
        ),
        "rate_limit",
    ),
    (
        error_of(
            "botocore.exceptions",
            "ClientError",
            response={"Error": {"Code": "validationException"}},
        ),
        "bad_request",
    ),
    (
        error_of(
            "botocore.exceptions",
            "ClientError",
            response={"ResponseMetadata": {"HTTPStatusCode": 403}, "Error": {"Code": "X"}},
        ),
        "auth",
    ),
    # From libraries that the SDKs use.
    (error_of("httpx", "TransportError"), "connection"),
    (error_of("httpx2", "DecodingError"), "unreadable"),
    (
        error_of("httpx", "UnsupportedProtocol", type(error_of("httpx", "TransportError"))),
        "unknown",
    ),
    (error_of("aiohttp.client_exceptions", "ClientPayloadError"), "connection"),
    (error_of("urllib3.exceptions", "HTTPError"), "connection"),
    (
        error_of(
            "urllib3.exceptions", "LocationValueError", type(error_of("urllib3", "HTTPError"))
        ),
        "unknown",
    ),
    (error_of("litellm.llms.anthropic", "BaseLLMException", status_code=500), "overloaded"),
    (TimeoutError(), "timeout"),
    (ConnectionResetError(), "connection"),
    (JSONDecodeError("no", "{", 0), "unreadable"),
    (error_of("google.auth.exceptions", "TransportError"), "connection"),
    (error_of("mistralai.client.errors", "ResponseValidationError", status_code=200), "unreadable"),
    (
        error_of("pydantic_core", "ValidationError", title="GenerateContentResponse"),
        "unreadable",
    ),
    (error_of("pydantic_core", "ValidationError", title="ChatResponse"), "unreadable"),
    (
        error_of("pydantic_core", "ValidationError", title="Unmarshaller"),
        "unreadable",
    ),
    (
        error_of(
            "groq", "APIError", status_code=498, body={"error": {"code": "capacity_exceeded"}}
        ),
        "overloaded",
    ),
    (
        error_of(
            "groq", "APIError", status_code=413, body={"error": {"code": "rate_limit_exceeded"}}
        ),
        "rate_limit",
    ),
    (error_of("openai", "APIError", status_code=413), "context"),
    (error_of("openai", "APITimeoutError", type(error_of("openai", "APIError"))), "timeout"),
    (error_of("openai", "ContentFilterFinishReasonError"), "filtered"),
    (error_of("openai", "APIError", status_code=429, code="insufficient_quota"), "quota"),
    (error_of("openai", "APIError", status_code=400, code="content_filter"), "filtered"),
    (error_of("openai", "APIError", status_code=404, code="model_not_found"), "no_model"),
    (aws("ModelErrorException", 424), "overloaded"),
    (aws("ModelNotReadyException", 429), "overloaded"),
    (aws("ServiceQuotaExceededException", 400), "quota"),
    (aws("ExpiredTokenException", 403), "auth"),
    (aws("UnrecognizedClientException", 403), "auth"),
    (error_of("botocore.exceptions", "TokenRetrievalError"), "auth"),
    (error_of("botocore.exceptions", "CredentialRetrievalError"), "auth"),
    (error_of("botocore.exceptions", "ReadTimeoutError"), "timeout"),
    (error_of("google.auth.exceptions", "RefreshError"), "auth"),
    (error_of("google.auth.exceptions", "DefaultCredentialsError"), "auth"),
    (error_of("google.genai.errors", "APIError", code=499, status="CANCELLED"), "connection"),
    (error_of("cohere.core.api_error", "ApiError", status_code=499), "connection"),
    (error_of("litellm.exceptions", "ContextWindowExceededError", status_code=400), "context"),
    (error_of("requests.exceptions", "ConnectionError"), "connection"),
    (error_of("anyio", "BrokenResourceError"), "connection"),
    (http.client.IncompleteRead(b""), "connection"),
    (socket.gaierror(-2, "Name or service not known"), "connection"),
    (ssl.SSLError("bad record"), "connection"),
    (OSError(errno.ENETUNREACH, "Network is unreachable"), "connection"),
    (OSError(errno.EMFILE, "Too many open files"), "unknown"),
    (Hostile("openai"), "overloaded"),
    (error_of("pydantic_core", "ValidationError", title="Order"), "unknown"),
    # Not an outage of a provider.
    (error_of("botocore.exceptions", "NoCredentialsError"), "auth"),
    (error_of("openai", "OpenAIError"), "unknown"),
    (error_of("mine", "APIError", status_code=500), "unknown"),
    (ValueError("API key not valid"), "unknown"),
    (KeyError("choices"), "unknown"),
    (OSError("disk full"), "unknown"),
    # By message or code.
    (ProviderError("Your credit balance is too low", status=400), "quota"),
    (ProviderError("API key not valid. Please pass one.", code="INVALID_ARGUMENT"), "auth"),
    (ProviderError("too long", code="invalid_request_error"), "bad_request"),
    (ProviderError("who?", code="authentication_error"), "auth"),
    (ProviderError("cut", code="cut"), "connection"),
    (ProviderError("empty", code="empty"), "unreadable"),
    (ProviderError("hole", code="hole"), "unreadable"),
    (ProviderError("cut", request_error=True), "bad_request"),
    (ProviderError("odd", status=400, request_error=False), "overloaded"),
    (ProviderError("no", code="content_filter"), "filtered"),
    (ProviderError("no", code="refusal"), "filtered"),
    (ProviderError("prompt is too long: 9 tokens", code="invalid_request_error"), "context"),
    (ProviderError("busy", status=529), "overloaded"),
    (ProviderError("odd", code="503"), "overloaded"),
    (ProviderError("odd", code="12"), "overloaded"),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=lambda value: repr(value)[:60])
def test_what_an_error_is(error: Exception, kind: str) -> None:
    """Each error has a kind, and the two predicates follow from it."""
    assert error_kind(error) == kind
    assert is_transient(error) == (kind in TRANSIENT)
    assert is_unavailable(error) == (kind in TRANSIENT | {"auth", "no_model"})


def test_no_sdk_is_imported() -> None:
    """Importing the package and classifying an error load no SDK and no event loop."""
    code = (
        "import sys; from failover_iter.llm import is_transient; is_transient(TimeoutError());"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "failover_iter" in loaded
    sdks = {"openai", "anthropic", "google", "mistralai", "cohere", "ollama", "groq", "boto3"}
    assert not (
        sdks | {"litellm", "httpx", "aiohttp", "urllib3", "asyncio", "trio", "typing_extensions"}
    ) & set(loaded)
