"""The page of the matrix tells what was measured, and what is measured now."""

from __future__ import annotations

import json

import pytest

from llm.cases import cases
from llm.faults import ALL_FAULTS, BEFORE_CONTENT, MID_STREAM
from llm.harness import Harness
from llm.matrix_page import MEASURED, NEXT, PAGE, page, verdict
from llm.sdks import SDK, SDKS

RECORD = json.loads(MEASURED.read_text("utf-8"))


def test_the_page_is_made_from_the_record() -> None:
    """Nobody edits it by hand."""
    assert PAGE.read_text("utf-8") == page(RECORD)


def test_the_record_is_whole() -> None:
    """Each SDK, each flavour and each fault is in it."""
    assert list(RECORD) == list(SDKS)
    for name, of_sdk in RECORD.items():
        assert list(of_sdk["verdicts"]) == ALL_FAULTS
        flavours = [list(each) for each in of_sdk["verdicts"].values()]
        assert flavours == [SDKS[name].flavours] * len(ALL_FAULTS)


def test_nothing_escapes_and_nothing_is_silent() -> None:
    """Wherever another provider is to be asked, its answer comes whole."""
    for of_sdk in RECORD.values():
        for fault in [*BEFORE_CONTENT, *MID_STREAM]:
            assert set(of_sdk["verdicts"][fault].values()) == {NEXT}


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_the_record_holds(harness: Harness, sdk: SDK, flavour: str) -> None:
    """What it says of this SDK is what is measured now."""
    now = {fault: verdict(fault, harness.outcome(sdk, flavour, fault)) for fault in ALL_FAULTS}
    record = RECORD[sdk.name]["verdicts"]
    assert now == {fault: record[fault][flavour] for fault in ALL_FAULTS}
