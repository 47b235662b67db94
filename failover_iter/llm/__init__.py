"""Failover for the streams of LLM providers: thin adapters over the providers' own SDKs.

This package never imports an SDK before it is used: you create the client and pass it in.
"""

from failover_iter.llm._adapters.anthropic import anthropic_messages
from failover_iter.llm._adapters.bedrock import bedrock_converse
from failover_iter.llm._adapters.cohere import cohere_chat
from failover_iter.llm._adapters.gemini import gemini_chat
from failover_iter.llm._adapters.groq import groq_chat
from failover_iter.llm._adapters.litellm import litellm_completion
from failover_iter.llm._adapters.mistral import mistral_chat
from failover_iter.llm._adapters.ollama import ollama_chat
from failover_iter.llm._adapters.openai_chat import openai_chat
from failover_iter.llm._adapters.openai_responses import openai_responses
from failover_iter.llm._api import ChatOptions, achat_stream, chat_stream
from failover_iter.llm._chunk import (
    AttemptUsage,
    Chunk,
    FinishReason,
    ToolCallDelta,
    Usage,
    has_answer,
    has_content,
)
from failover_iter.llm._collect import Message, ToolCall, acollect, collect
from failover_iter.llm._continue import ContinueWith, continue_with
from failover_iter.llm._errors import ProviderError
from failover_iter.llm._kinds import (
    ErrorKind,
    error_kind,
    is_lasting,
    is_transient,
    is_unavailable,
)
from failover_iter.llm._openai_sse import SSEResponse, openai_sse
from failover_iter.llm._retry_after import requested_delay, retry_after
from failover_iter.llm._whole import achat, chat

__all__ = [
    "AttemptUsage",
    "ChatOptions",
    "Chunk",
    "ContinueWith",
    "ErrorKind",
    "FinishReason",
    "Message",
    "ProviderError",
    "SSEResponse",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "achat",
    "achat_stream",
    "acollect",
    "anthropic_messages",
    "bedrock_converse",
    "chat",
    "chat_stream",
    "cohere_chat",
    "collect",
    "continue_with",
    "error_kind",
    "gemini_chat",
    "groq_chat",
    "has_answer",
    "has_content",
    "is_lasting",
    "is_transient",
    "is_unavailable",
    "litellm_completion",
    "mistral_chat",
    "ollama_chat",
    "openai_chat",
    "openai_responses",
    "openai_sse",
    "requested_delay",
    "retry_after",
]
