"""Chat in the terminal with several LLM providers: if one breaks off, the next one continues.

    CHAT_PROVIDERS="anthropic:claude-sonnet-4-5 openai:gpt-5 ollama:llama3.2" python chat.py

Each SDK reads its key from the environment (ANTHROPIC_API_KEY, OPENAI_API_KEY, ...). Without
CHAT_PROVIDERS the program asks the test server of this repository, whose first provider breaks off.
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
    """Return a source for OpenAI, or for a compatible endpoint at `base_url`."""
    from openai import OpenAI

    client = OpenAI(base_url=base_url, max_retries=0, timeout=20)
    return openai_chat(client, model=model, messages=messages)


def anthropic(model: str, messages: list[Turn], base_url: str | None = None) -> Source[Any]:
    """Return a source for Anthropic."""
    from anthropic import Anthropic

    client = Anthropic(base_url=base_url, max_retries=0, timeout=20)
    return anthropic_messages(client, model=model, max_tokens=2048, messages=messages)


def google(model: str, messages: list[Turn]) -> Source[Any]:
    """Return a source for Gemini."""
    from google.genai import Client, types

    retries = types.HttpRetryOptions(attempts=1)
    client = Client(http_options=types.HttpOptions(timeout=20_000, retry_options=retries))
    return gemini_chat(client, model=model, messages=messages)


def ollama(model: str, messages: list[Turn]) -> Source[Any]:
    """Return a source for Ollama."""
    from ollama import Client

    return ollama_chat(Client(timeout=20), model=model, messages=messages)


PROVIDERS = {"openai": openai, "anthropic": anthropic, "gemini": google, "ollama": ollama}


def answer(sources: list[Source[Any]]) -> Message:
    """Print an answer while it arrives, and return the finished message."""
    stream = chat_stream(
        sources,
        mid_stream=continue_with(["prefill", "instruct", "restart"]),
        mark_takeovers=True,
    )
    with closing(stream):
        return collect(printed(stream))


def printed(stream: Iterator[Any]) -> Iterator[Any]:
    """Yield the items unchanged, and print each of them."""
    for item in stream:
        if isinstance(item, Takeover):
            seam = "starts over" if item.mode == "restart" else "goes on"
            print(f"[{item.source} {seam}] ", end="", flush=True)
        else:
            print(item.text, end="", flush=True)
        yield item
    print()


def chat(questions: Iterator[str], providers: list[tuple[Any, ...]]) -> None:
    """Ask one question after the other; each provider gets the whole conversation."""
    messages: list[Turn] = [{"role": "system", "content": "Be brief."}]
    for question in questions:
        messages.append({"role": "user", "content": question})
        message = answer([make(model, messages, *more) for make, model, *more in providers])
        messages.append({"role": "assistant", "content": message.text})
        print(f"({message.provider}: {message.finish_reason})")


def typed() -> Iterator[str]:
    """Yield what the user types."""
    while True:
        try:
            yield input("> ")
        except EOFError:
            return


# Without CHAT_PROVIDERS: a test server instead of real providers, and a fixed question.


@contextmanager
def local_providers() -> Generator[list[tuple[Any, ...]], None, None]:
    """Run two providers on this machine; the first one breaks off mid-stream."""
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
    """Yield one question, so that nobody has to type it."""
    print("> Why is the sky blue?")
    yield "Why is the sky blue?"


def main() -> None:
    """Run the chat."""
    wanted = [each.partition(":") for each in os.environ.get("CHAT_PROVIDERS", "").split()]
    if wanted:
        chat(typed(), [(PROVIDERS[name], model) for name, _, model in wanted])
        return
    with local_providers() as providers:
        chat(local(), providers)


if __name__ == "__main__":
    main()
