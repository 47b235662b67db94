"""The listener of a chat stream: with each event, what is known of the provider's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from failover_iter import Ended, Event, Opening
from failover_iter.llm._context import ChatContext


def chat_listener(context: ChatContext, listener: Any) -> Callable[[Event], object] | None:
    """Return the listener for one chat stream.

    If the user's listener has a method `chat_event`, that is called instead of the listener itself:
    with the event, and with the `AttemptUsage` of its source, or None before its first answer.
    """
    return _ChatListener(context, listener) if hasattr(listener, "chat_event") else listener


class _ChatListener:
    def __init__(self, context: ChatContext, listener: Any) -> None:
        self._context = context
        self._listener = listener

    def __call__(self, event: Event) -> None:
        answers, name = self._context.answers, event.source
        if name not in answers:  # it was numbered, to be told apart
            name = name.rpartition("#")[0]
        if type(event) is Opening:
            answers.pop(name, None)
        answer = answers.get(name)
        self._listener.chat_event(event, None if answer is None else answer.attempt_usage)

    def stream_ended(self, ended: Ended) -> None:
        if hasattr(self._listener, "stream_ended"):
            self._listener.stream_ended(ended)
