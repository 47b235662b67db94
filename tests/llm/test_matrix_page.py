"""The page of the matrix matches the recorded results and the current ones."""

from __future__ import annotations

import json

import pytest

from llm.cases import cases
from llm.faults import ALL_FAULTS, BEFORE_CONTENT, MID_STREAM
from llm.harness import Harness
from llm.matrix_page import MEASURED, NEXT, PAGE, page, verdict
from llm.sdks import SDK, SDKS

RECORD = json.loads(MEASURED.read_text("utf-8"))


def test_page_matches_the_record() -> None:
    """The page is generated from the record, without edits by hand."""
    assert PAGE.read_text("utf-8") == page(RECORD)


def test_record_is_complete() -> None:
    """The record has each SDK, each flavour and each fault."""
    assert list(RECORD) == list(SDKS)
    for name, of_sdk in RECORD.items():
        assert list(of_sdk["verdicts"]) == ALL_FAULTS
        flavours = [list(each) for each in of_sdk["verdicts"].values()]
        assert flavours == [SDKS[name].flavours] * len(ALL_FAULTS)


def test_every_failure_is_handled() -> None:
    """Whenever another provider is needed, it delivers its whole answer."""
    for of_sdk in RECORD.values():
        for fault in [*BEFORE_CONTENT, *MID_STREAM]:
            assert set(of_sdk["verdicts"][fault].values()) == {NEXT}


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_record_is_current(harness: Harness, sdk: SDK, flavour: str) -> None:
    """The recorded verdicts on this SDK match those measured now."""
    now = {fault: verdict(fault, harness.outcome(sdk, flavour, fault)) for fault in ALL_FAULTS}
    record = RECORD[sdk.name]["verdicts"]
    assert now == {fault: record[fault][flavour] for fault in ALL_FAULTS}
