"""Content other than text, when an answer is cut off."""

from __future__ import annotations

import pytest

from failover_iter.llm import ProviderError, collect, continue_with
from llm.faults import BACKUP_TEXT
from llm.harness import Harness
from llm.pieces import HI, delta
from llm.sdks import SDKS


@pytest.mark.skipif(not SDKS["openai-chat"].installed, reason="openai is not installed ('.[test]')")
def test_an_image_is_not_continued(harness: Harness) -> None:
    """After part of an image the error is raised; a citation does not prevent a continuation."""
    sdk = SDKS["openai-chat"]
    for member, text in ((delta(audio={"data": "AAAA"}), None), (delta(annotations=[1]), "rest")):
        cut = harness.scripted([HI, member])
        sources = [harness.source(sdk, "sync", model) for model in (cut, harness.model("ok"))]
        items, error = harness.deliver("sync", sources, mid_stream=continue_with("instruct"))
        assert isinstance(error, ProviderError) == (text is None)
        assert (items[2:] != []) == (text is not None)
        assert text is None or collect(items).text == "Hi" + BACKUP_TEXT
