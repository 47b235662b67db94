"""Chat in the terminal with several LLM providers: when one breaks off, the next one goes on.

    CHAT_PROVIDERS="anthropic:claude-sonnet-4-5 openai:gpt-5 ollama:llama3.2" python chat.py

Keys are taken from where each SDK looks for them (ANTHROPIC_API_KEY, OPENAI_API_KEY, ...). Without
providers it asks the test server of this repository, whose first provider breaks off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from failover_iter import Source, Takeover
from failover_iter.llm import (
    Message,
    anthropic_messages,
    chat_stream,
    collect,
    continue_with,
    gemini_chat,
    ollama_chat,
    openai_chat,
)

Turn = dict[str, Any]


def openai(model: str, messages: list[Turn], base_url: str | None = None) -> Source[Any]:
    """A source for OpenAI, or for whatever speaks its protocol at `base_url`."""
    from openai import OpenAI

    client = OpenAI(base_url=base_url, max_retries=0, timeout=20)
    return openai_chat(client, model=model, messages=messages)


def anthropic(model: str, messages: list[Turn], base_url: str | None = None) -> Source[Any]:
    """A source for Anthropic."""
    from anthropic import Anthropic

    client = Anthropic(base_url=base_url, max_retries=0, timeout=20)
    return anthropic_messages(client, model=model, max_tokens=2048, messages=messages)


def google(model: str, messages: list[Turn]) -> Source[Any]:
    """A source for Gemini."""
    from google.genai import Client, types

    retries = types.HttpRetryOptions(attempts=1)
    client = Client(http_options=types.HttpOptions(timeout=20_000, retry_options=retries))
    return gemini_chat(client, model=model, messages=messages)


def ollama(model: str, messages: list[Turn]) -> Source[Any]:
    """A source for Ollama."""
    from ollama import Client

    return ollama_chat(Client(timeout=20), model=model, messages=messages)


PROVIDERS = {"openai": openai, "anthropic": anthropic, "gemini": google, "ollama": ollama}


def answer(sources: list[Source[Any]]) -> Message:
    """Show an answer while it comes, and give it whole."""
    stream = chat_stream(
        sources,
        mid_stream=continue_with("prefill", or_restart=True),
        mark_takeovers=True,
    )
    with closing(stream):
        return collect(shown(stream))


def shown(stream: Iterator[Any]) -> Iterator[Any]:
    """The same items, each of them on the screen."""
    for item in stream:
        if isinstance(item, Takeover):
            seam = "starts over" if item.mode == "restart" else "goes on"
            print(f"[{item.source} {seam}] ", end="", flush=True)
        else:
            print(item.text, end="", flush=True)
        yield item
    print()


def chat(questions: Iterator[str], providers: list[tuple[Any, ...]]) -> None:
    """Ask one question after the other; each provider is told the whole conversation."""
    messages: list[Turn] = [{"role": "system", "content": "Be brief."}]
    for question in questions:
        messages.append({"role": "user", "content": question})
        message = answer([make(model, messages, *more) for make, model, *more in providers])
        messages.append({"role": "assistant", "content": message.text})
        print(f"({message.provider}: {message.finish_reason})")


def typed() -> Iterator[str]:
    """What the user types."""
    while True:
        try:
            yield input("> ")
        except EOFError:
            return


# The test server: what follows stands for the rest of the world.


@contextmanager
def local_providers() -> Generator[list[tuple[Any, ...]], None, None]:
    """Two providers on this machine, the first of which breaks off in the middle."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from llm.server import running

    os.environ.setdefault("OPENAI_API_KEY", "none")
    os.environ.setdefault("ANTHROPIC_API_KEY", "none")
    with running() as server:
        yield [
            (openai, "drop-after-3", f"{server.address}/openai/v1"),
            (anthropic, "rest", f"{server.address}/anthropic"),
        ]


def local() -> Iterator[str]:
    """A question that nobody has to type."""
    print("> Why is the sky blue?")
    yield "Why is the sky blue?"


def main() -> None:
    """Chat."""
    wanted = [each.partition(":") for each in os.environ.get("CHAT_PROVIDERS", "").split()]
    if wanted:
        chat(typed(), [(PROVIDERS[name], model) for name, _, model in wanted])
        return
    with local_providers() as providers:
        chat(local(), providers)


if __name__ == "__main__":
    main()
