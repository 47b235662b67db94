"""The real SDKs, each with a client for the local server, set up as the docs recommend."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from failover_iter import Source
from failover_iter.llm import (
    anthropic_messages,
    bedrock_converse,
    cohere_chat,
    gemini_chat,
    groq_chat,
    litellm_completion,
    mistral_chat,
    ollama_chat,
    openai_chat,
    openai_responses,
)

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Why is the sky blue?"},
]
Make = Callable[[str, float], Any]


# Without this, litellm requests prices from the network when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")


def is_older(distribution: str, major: int) -> bool:
    """Whether an older major release of an SDK is installed than this one."""
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return int(version.partition(".")[0]) < major


def _load(name: str) -> Any:
    return importlib.import_module(name)


def _stainless(package: str, kind: str, path: str = "") -> Make:
    """Return a maker of clients of OpenAI, Anthropic or Groq: Stainless generates these SDKs."""

    def make(base: str, seconds: float) -> Any:
        client = getattr(_load(package), kind)
        return client(base_url=base + path, api_key="key", timeout=seconds, max_retries=0)

    return make


def _gemini(*, with_aiohttp: bool = True) -> Make:
    def make(base: str, seconds: float) -> Any:
        types = _load("google.genai.types")
        options = {
            "base_url": base,
            "timeout": int(seconds * 1000),
            "retry_options": types.HttpRetryOptions(attempts=1),
        }
        if not with_aiohttp:
            options["httpx_async_client"] = _httpx_of(types).AsyncClient(timeout=seconds)
        http_options = types.HttpOptions(**options)
        return _load("google.genai").Client(api_key="key", http_options=http_options)

    return make


def _httpx_of(module: Any) -> Any:
    """Return the httpx that a module of an SDK uses: newer releases use httpx2."""
    return next(getattr(module, name) for name in ("httpx2", "httpx") if hasattr(module, name))


def _mistral(base: str, seconds: float) -> Any:
    package = _load("mistralai")  # until version 1, the client was in the package itself
    mistral = getattr(package, "Mistral", None) or _load("mistralai.client").Mistral
    return mistral(api_key="key", server_url=base, timeout_ms=int(seconds * 1000))


def _cohere(kind: str) -> Make:
    def make(base: str, seconds: float) -> Any:
        client = getattr(_load("cohere"), kind)
        # Before version 6 a client took no `max_retries`; none retries a stream.
        known = "max_retries" in inspect.signature(client).parameters
        options = {"max_retries": 0} if known else {}
        return client(api_key="key", base_url=base, timeout=seconds, **options)

    return make


def _ollama(kind: str) -> Make:
    return lambda base, seconds: getattr(_load("ollama"), kind)(host=base, timeout=seconds)


def _bedrock(base: str, seconds: float) -> Any:
    config = _load("botocore.config").Config(
        connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 1}
    )
    return _load("boto3").client(
        "bedrock-runtime",
        endpoint_url=base,
        config=config,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )


def _litellm(path: str = "") -> Make:
    """Return a maker of litellm arguments: litellm has no clients."""
    return lambda base, seconds: {
        "api_base": base + path,
        "api_key": "key",
        "timeout": seconds,
        "max_retries": 0,
        "num_retries": 0,
    }


@dataclass(frozen=True)
class SDK:
    """One SDK, or one variant of it."""

    name: str
    #: The package that must be installed.
    package: str
    #: The first part of the server's path, which selects the protocol.
    protocol: str
    adapter: Callable[..., Source[Any]]
    #: Makers of the blocking and of the async client; None if the SDK lacks it.
    sync: Make | None
    asynchronous: Make | None
    #: Arguments of each request besides the model and the messages.
    more: tuple[tuple[str, Any], ...] = ()
    #: The argument that holds the model, and the prefix of the model's name.
    model: str = "model"
    prefix: str = ""

    @property
    def installed(self) -> bool:
        """Whether the SDK is installed."""
        try:
            return importlib.util.find_spec(self.package) is not None
        except ModuleNotFoundError:
            return False

    @property
    def flavours(self) -> list[str]:
        """The flavours of stream that the SDK supports."""
        made = {"sync": self.sync, "async": self.asynchronous}
        return [flavour for flavour, make in made.items() if make is not None]

    def make(self, flavour: str, address: str, seconds: float) -> Any:
        """Return a client for the server at this address, with this timeout."""
        make = self.sync if flavour == "sync" else self.asynchronous
        assert make is not None
        return make(f"{address}/{self.protocol}", seconds)

    def source(self, client: Any, model: str, **more: Any) -> Source[Any]:
        """Return a source that asks this model."""
        arguments = {self.model: self.prefix + model, "messages": MESSAGES} | dict(self.more) | more
        if self.package == "litellm":
            return self.adapter(**client, **arguments)
        return self.adapter(client, **arguments)


_USAGE = (("stream_options", {"include_usage": True}),)
_MAX_TOKENS = (("max_tokens", 64),)

SDKS = {
    sdk.name: sdk
    for sdk in (
        SDK(
            "openai-chat",
            "openai",
            "openai",
            openai_chat,
            _stainless("openai", "OpenAI", "/v1"),
            _stainless("openai", "AsyncOpenAI", "/v1"),
        ),
        SDK(
            "openai-responses",
            "openai",
            "responses",
            openai_responses,
            _stainless("openai", "OpenAI", "/v1"),
            _stainless("openai", "AsyncOpenAI", "/v1"),
        ),
        SDK(
            "anthropic",
            "anthropic",
            "anthropic",
            anthropic_messages,
            _stainless("anthropic", "Anthropic"),
            _stainless("anthropic", "AsyncAnthropic"),
            more=_MAX_TOKENS,
        ),
        SDK("google-genai", "google.genai", "gemini", gemini_chat, _gemini(), _gemini()),
        SDK(
            "google-genai-noaiohttp",
            "google.genai",
            "gemini",
            gemini_chat,
            None,
            _gemini(with_aiohttp=False),
        ),
        SDK("mistralai", "mistralai", "mistral", mistral_chat, _mistral, _mistral),
        SDK(
            "cohere",
            "cohere",
            "cohere",
            cohere_chat,
            _cohere("ClientV2"),
            _cohere("AsyncClientV2"),
        ),
        SDK("ollama", "ollama", "ollama", ollama_chat, _ollama("Client"), _ollama("AsyncClient")),
        SDK(
            "groq",
            "groq",
            "groq",
            groq_chat,
            _stainless("groq", "Groq"),
            _stainless("groq", "AsyncGroq"),
        ),
        SDK(
            "bedrock",
            "boto3",
            "bedrock",
            bedrock_converse,
            _bedrock,
            None,
            model="modelId",
        ),
        SDK(
            "litellm-openai",
            "litellm",
            "openai",
            litellm_completion,
            _litellm("/v1"),
            _litellm("/v1"),
            more=_USAGE,
            prefix="openai/",
        ),
        SDK(
            "litellm-anthropic",
            "litellm",
            "anthropic",
            litellm_completion,
            _litellm(),
            _litellm(),
            more=_MAX_TOKENS + _USAGE,
            prefix="anthropic/",
        ),
    )
}
