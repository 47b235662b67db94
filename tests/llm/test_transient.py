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


def made(module: str, name: str, base: type[Exception] = Exception, **said: Any) -> Exception:
    """An error of a class by this name of this module."""
    error = type(name, (base,), {"__module__": module})("no")
    error.__dict__.update(said)
    return error


def kind_of(error: Exception) -> str:
    """What the two predicates say."""
    if is_transient(error):
        assert is_unavailable(error)
        return YES
    return ACCESS if is_unavailable(error) else NO


ERRORS = [
    # By status.
    (made("openai", "APIError", status_code=429), YES),
    (made("openai", "APIError", status_code=400), NO),
    (made("openai", "APIError", status_code=402), ACCESS),
    (made("google.genai.errors", "APIError", code=503, status="UNAVAILABLE"), YES),
    (made("google.genai.errors", "APIError", code=404, status="NOT_FOUND"), NO),
    (made("mistralai.client.errors", "MistralError", status_code=409), YES),
    (made("cohere.core", "ApiError", status_code=425), YES),
    (made("cohere.core", "ApiError", status_code=403), ACCESS),
    (made("aiohttp.client_exceptions", "ClientResponseError", status=502), YES),
    (made("aiohttp.client_exceptions", "ClientResponseError", status=401), ACCESS),
    (made("groq", "APIError", response=SimpleNamespace(status_code=500)), YES),
    # In a stream that began with a 200.
    (made("openai", "APIError"), YES),
    (made("openai", "APIError", code="context_length_exceeded"), NO),
    (made("openai", "APIError", type="invalid_request_error"), NO),
    (made("anthropic", "APIError", status_code=200, type="overloaded_error"), YES),
    (made("anthropic", "APIError", status_code=200, type="invalid_request_error"), NO),
    (
        made("anthropic", "APIError", status_code=200, body={"error": {"type": "billing_error"}}),
        ACCESS,
    ),
    (made("groq", "APIError", body={"code": "rate_limit_exceeded"}), YES),
    (made("groq", "APIError", body={"code": "400"}), NO),
    (made("ollama._types", "ResponseError", status_code=-1), YES),
    (made("mistralai.client.errors", "MistralError", status_code=200), YES),
    (
        made(
            "botocore.exceptions",
            "ClientError",
            response={"Error": {"Code": "throttlingException"}},
        ),
        YES,
    ),
    (
        made(
            "botocore.exceptions",
            "ClientError",
            response={"Error": {"Code": "validationException"}},
        ),
        NO,
    ),
    (
        made(
            "botocore.exceptions",
            "ClientError",
            response={"ResponseMetadata": {"HTTPStatusCode": 403}, "Error": {"Code": "X"}},
        ),
        ACCESS,
    ),
    # Of the libraries under them.
    (made("httpx", "TransportError"), YES),
    (made("httpx2", "DecodingError"), YES),
    (made("httpx", "UnsupportedProtocol", type(made("httpx", "TransportError"))), NO),
    (made("aiohttp.client_exceptions", "ClientPayloadError"), YES),
    (made("urllib3.exceptions", "HTTPError"), YES),
    (made("urllib3.exceptions", "LocationValueError", type(made("urllib3", "HTTPError"))), NO),
    (made("litellm.llms.anthropic", "BaseLLMException", status_code=500), YES),
    (TimeoutError(), YES),
    (ConnectionResetError(), YES),
    (JSONDecodeError("no", "{", 0), YES),
    (made("google.auth.exceptions", "TransportError"), YES),
    # Nobody's outage.
    (made("botocore.exceptions", "NoCredentialsError"), ACCESS),
    (made("openai", "OpenAIError"), NO),
    (made("mine", "APIError", status_code=500), NO),
    (ValueError("API key not valid"), NO),
    (KeyError("choices"), NO),
    (OSError("disk full"), NO),
    # In words.
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
    """Worth another provider; worth one for whoever has no access; or the request's fault."""
    assert kind_of(error) == kind


def test_no_sdk_is_imported() -> None:
    """Importing the package, and judging an error, loads no SDK and no event loop."""
    code = (
        "import sys; from failover_iter.llm import is_transient; is_transient(TimeoutError());"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "failover_iter" in loaded
    sdks = {"openai", "anthropic", "google", "mistralai", "cohere", "ollama", "groq", "boto3"}
    assert not (sdks | {"litellm", "httpx", "aiohttp", "urllib3", "asyncio"}) & set(loaded)
