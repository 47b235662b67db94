"""The page of the matrix matches the recorded results and the current ones."""

from __future__ import annotations

import json

import pytest

from llm.cases import cases
from llm.contents import ALL_FAULTS, CONTENTS, DROPPED_BY_SDK, ERROR, NEXT, WHOLE, faults_of
from llm.descriptions import DESCRIPTIONS
from llm.faults import BEFORE_CONTENT, MID_STREAM, REQUEST_ERRORS
from llm.harness import Harness
from llm.matrix_page import MEASURED, PAGE, page, verdict
from llm.sdks import SDK, SDKS
from llm.test_matrix import RAISES_ON_HEALTHY

RECORD = json.loads(MEASURED.read_text("utf-8"))


def test_page_matches_the_record() -> None:
    """The page is generated from the record, without edits by hand."""
    assert PAGE.read_text("utf-8") == page(RECORD)


def test_record_is_complete() -> None:
    """The record has each SDK, each flavour and each fault that applies, and the page says what."""
    assert list(RECORD) == list(SDKS)
    for name, of_sdk in RECORD.items():
        assert list(of_sdk["verdicts"]) == faults_of(SDKS[name])
        flavours = [list(each) for each in of_sdk["verdicts"].values()]
        assert flavours == [SDKS[name].flavours] * len(flavours)
    assert sorted(DESCRIPTIONS) == sorted(ALL_FAULTS)


def test_nothing_escapes_or_is_lost() -> None:
    """Another provider answers if one is needed; else all is delivered, unless the SDK drops it."""
    expected = (
        dict.fromkeys([*BEFORE_CONTENT, *MID_STREAM], NEXT)
        | dict.fromkeys(CONTENTS, WHOLE)
        | dict.fromkeys(REQUEST_ERRORS, ERROR)
    )
    for name, of_sdk in RECORD.items():
        for fault in expected.keys() & of_sdk["verdicts"].keys():
            wanted = DROPPED_BY_SDK.get((name, fault), expected[fault])
            assert set(of_sdk["verdicts"][fault].values()) == {wanted}, (name, fault)


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_record_is_current(harness: Harness, sdk: SDK, flavour: str) -> None:
    """The recorded verdicts on this SDK match those measured now."""
    record = RECORD[sdk.name]["verdicts"]
    now = {fault: verdict(fault, harness.outcome(sdk, flavour, fault), sdk) for fault in record}
    recorded = {fault: record[fault][flavour] for fault in record}
    # The record is of the newest SDKs; some raise on more healthy streams in an older release.
    raises = [
        fault for name, kind, fault in RAISES_ON_HEALTHY if (name, kind) == (sdk.name, flavour)
    ]
    assert now == recorded | dict.fromkeys(raises, NEXT)
