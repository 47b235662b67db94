"""`is_transient` and `is_unavailable`, for errors of SDKs that need not be installed."""

from __future__ import annotations

import subprocess
import sys
from json import JSONDecodeError
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter.llm import ProviderError, is_transient, is_unavailable

YES, NO, ACCESS = "transient", "no", "no access"


def error_of(
    module: str, name: str, base: type[Exception] = Exception, **attributes: Any
) -> Exception:
    """Return an error whose class has this name and this module."""
    error = type(name, (base,), {"__module__": module})("no")
    error.__dict__.update(attributes)
    return error


def kind_of(error: Exception) -> str:
    """Return the verdict of the two predicates."""
    if is_transient(error):
        assert is_unavailable(error)
        return YES
    return ACCESS if is_unavailable(error) else NO


ERRORS = [
    # By status.
    (error_of("openai", "APIError", status_code=429), YES),
    (error_of("openai", "APIError", status_code=400), NO),
    (error_of("openai", "APIError", status_code=402), ACCESS),
    (error_of("google.genai.errors", "APIError", code=503, status="UNAVAILABLE"), YES),
    (error_of("google.genai.errors", "APIError", code=404, status="NOT_FOUND"), NO),
    (error_of("mistralai.client.errors", "MistralError", status_code=409), YES),
    (error_of("cohere.core", "ApiError", status_code=425), YES),
    (error_of("cohere.core", "ApiError", status_code=403), ACCESS),
    (error_of("aiohttp.client_exceptions", "ClientResponseError", status=502), YES),
    (error_of("aiohttp.client_exceptions", "ClientResponseError", status=401), ACCESS),
    (error_of("groq", "APIError", response=SimpleNamespace(status_code=500)), YES),
    # In a stream that began with a 200.
    (error_of("openai", "APIError"), YES),
    (error_of("openai", "APIError", code="context_length_exceeded"), NO),
    (error_of("openai", "APIError", type="invalid_request_error"), NO),
    (error_of("anthropic", "APIError", status_code=200, type="overloaded_error"), YES),
    (error_of("anthropic", "APIError", status_code=200, type="invalid_request_error"), NO),
    (
        error_of(
            "anthropic", "APIError", status_code=200, body={"error": {"type": "billing_error"}}
        ),
        ACCESS,
    ),
    (error_of("groq", "APIError", body={"code": "rate_limit_exceeded"}), YES),
    (error_of("groq", "APIError", body={"code": "400"}), NO),
    (error_of("ollama._types", "ResponseError", status_code=-1), YES),
    (error_of("mistralai.client.errors", "MistralError", status_code=200), YES),
    (
        error_of(
            "botocore.exceptions",
            "ClientError",
            response={"Error": {"Code": "throttlingException"}},
        ),
        YES,
    ),
    (
        error_of(
            "botocore.exceptions",
            "ClientError",
            response={"Error": {"Code": "validationException"}},
        ),
        NO,
    ),
    (
        error_of(
            "botocore.exceptions",
            "ClientError",
            response={"ResponseMetadata": {"HTTPStatusCode": 403}, "Error": {"Code": "X"}},
        ),
        ACCESS,
    ),
    # From libraries that the SDKs use.
    (error_of("httpx", "TransportError"), YES),
    (error_of("httpx2", "DecodingError"), YES),
    (error_of("httpx", "UnsupportedProtocol", type(error_of("httpx", "TransportError"))), NO),
    (error_of("aiohttp.client_exceptions", "ClientPayloadError"), YES),
    (error_of("urllib3.exceptions", "HTTPError"), YES),
    (
        error_of(
            "urllib3.exceptions", "LocationValueError", type(error_of("urllib3", "HTTPError"))
        ),
        NO,
    ),
    (error_of("litellm.llms.anthropic", "BaseLLMException", status_code=500), YES),
    (TimeoutError(), YES),
    (ConnectionResetError(), YES),
    (JSONDecodeError("no", "{", 0), YES),
    (error_of("google.auth.exceptions", "TransportError"), YES),
    # Not an outage of a provider.
    (error_of("botocore.exceptions", "NoCredentialsError"), ACCESS),
    (error_of("openai", "OpenAIError"), NO),
    (error_of("mine", "APIError", status_code=500), NO),
    (ValueError("API key not valid"), NO),
    (KeyError("choices"), NO),
    (OSError("disk full"), NO),
    # By message or code.
    (ProviderError("Your credit balance is too low", status=400), ACCESS),
    (ProviderError("API key not valid. Please pass one.", code="INVALID_ARGUMENT"), ACCESS),
    (ProviderError("too long", code="invalid_request_error"), NO),
    (ProviderError("who?", code="authentication_error"), ACCESS),
    (ProviderError("cut", code="cut"), YES),
    (ProviderError("cut", request_error=True), NO),
    (ProviderError("busy", status=529), YES),
    (ProviderError("odd", code="503"), YES),
    (ProviderError("odd", code="12"), YES),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=lambda value: repr(value)[:60])
def test_what_an_error_is(error: Exception, kind: str) -> None:
    """An error is transient, a lack of access, or neither."""
    assert kind_of(error) == kind


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
