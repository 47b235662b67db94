"""The page that compares LLM fallbacks matches its record, and the record what the libraries do."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from llm.peers import GOOD, LIBRARIES, MEASURED, PAGE, SECTIONS, measure, page

RECORD = json.loads(MEASURED.read_text("utf-8"))
MISSING = [name for name in ("litellm", "langchain_openai", "pydantic_ai") if not find_spec(name)]


def test_page_matches_the_record() -> None:
    """The page is generated from the record, without edits by hand."""
    assert PAGE.read_text("utf-8") == page(RECORD)


def test_record_is_complete() -> None:
    """The record has each library and each fault, and this one survives all of them."""
    words = RECORD["words"]
    assert sorted(words) == sorted(fault for faults in SECTIONS.values() for fault in faults)
    assert all(list(found) == list(LIBRARIES) for found in words.values())
    ours = [name for name in LIBRARIES if name.startswith("failover-iter")]
    for title, faults in SECTIONS.items():
        expected = {"error"} if title == "Request errors" else GOOD
        assert {words[fault][name] for fault in faults for name in ours} <= expected


@pytest.mark.skipif(
    bool(MISSING), reason=f"{'_'.join(MISSING[:1])} is not installed ('.[llm-peers]')"
)
@pytest.mark.filterwarnings("ignore")
def test_record_is_current() -> None:
    """The libraries do now what the record says."""
    assert measure()["words"] == RECORD["words"]
