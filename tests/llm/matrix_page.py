"""Measures the matrix and writes `docs/llm-matrix.md`.

    PYTHONPATH=tests python -m llm.matrix_page

SDKs that are not installed keep what was measured of them before, in `measured.json`: so run it
once in an environment with all the others, and once in one with litellm.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import logging
import warnings
from pathlib import Path
from typing import Any

from llm.faults import (
    BACKUP_TEXT,
    BEFORE_CONTENT,
    HEALTHY,
    MID_STREAM,
    PARTIAL_TEXT,
    REQUEST_ERRORS,
    UNICODE_TEXT,
)
from llm.harness import Harness, Outcome, new_harness
from llm.sdks import SDK, SDKS
from llm.unaided import UNAIDED

HERE = Path(__file__).parent
MEASURED = HERE / "measured.json"
PAGE = HERE.parents[1] / "docs" / "llm-matrix.md"
SECTIONS = {
    "Before any content": BEFORE_CONTENT,
    "Midway": MID_STREAM,
    "Errors of the request": REQUEST_ERRORS,
    "Healthy streams": HEALTHY,
}
NEXT, ERROR, WHOLE, LOST = "next", "error", "whole", "**WRONG**"
DISTRIBUTIONS = {"google.genai": "google-genai"}


def verdict(fault: str, outcome: Outcome) -> str:
    """What came of a stream, in a word."""
    whole = outcome.last is not None and outcome.last.finish_reason == "stop"
    if outcome.asked[1] and outcome.text == BACKUP_TEXT and outcome.error is None and whole:
        return NEXT if outcome.before in {"", PARTIAL_TEXT} or fault in HEALTHY else LOST
    if outcome.error is not None and not outcome.text:
        return ERROR
    right = UNICODE_TEXT if fault == "ok-u2028" else BACKUP_TEXT
    return WHOLE if outcome.text == right and outcome.error is None and whole else LOST


def verdicts(harness: Harness, sdk: SDK) -> dict[str, dict[str, str]]:
    """The verdicts on one SDK, by fault and flavour."""
    return {
        fault: {
            flavour: verdict(fault, harness.outcome(sdk, flavour, fault))
            for flavour in sdk.flavours
        }
        for faults in SECTIONS.values()
        for fault in faults
    }


def measure() -> dict[str, Any]:
    """What was measured of all SDKs: now, or before."""
    measured: dict[str, Any] = json.loads(MEASURED.read_text("utf-8")) if MEASURED.exists() else {}
    installed = [sdk for sdk in SDKS.values() if sdk.installed]
    if importlib.util.find_spec("litellm"):  # it brings the SDKs of others along
        installed = [sdk for sdk in installed if sdk.package == "litellm"]
    variants = [(sdk, flavour) for sdk in installed for flavour in sdk.flavours]
    with new_harness(variants) as harness:
        for sdk in installed:
            name = DISTRIBUTIONS.get(sdk.package, sdk.package)
            version = f"{name} {importlib.metadata.version(name)}"
            measured[sdk.name] = {"version": version, "verdicts": verdicts(harness, sdk)}
    return {name: measured[name] for name in SDKS if name in measured}


def cell(measured: dict[str, Any], fault: str, sdk: str) -> str:
    """The naive way, and this one."""
    by_flavour = measured[sdk]["verdicts"][fault]
    ours = " / ".join(dict.fromkeys(by_flavour.values()))
    unaided = UNAIDED.get((fault, sdk))
    return f"{unaided} → {ours}" if unaided else ours


def table(measured: dict[str, Any], faults: list[str]) -> list[str]:
    """One table: a row for each fault."""
    head = " | ".join(["fault", *measured])
    lines = [f"| {head} |", "|---" * (len(measured) + 1) + "|"]
    for fault in faults:
        cells = " | ".join(cell(measured, fault, sdk) for sdk in measured)
        lines.append(f"| {fault} | {cells} |")
    return lines


def count(measured: dict[str, Any]) -> str:
    """The sum of it, in words."""
    runs = [
        word
        for of_sdk in measured.values()
        for fault in [*BEFORE_CONTENT, *MID_STREAM]
        for word in of_sdk["verdicts"][fault].values()
    ]
    served = runs.count(NEXT)
    return f"In {len(runs)} runs another provider was to be asked: {served} times it served."


def page(measured: dict[str, Any]) -> str:
    """The page."""
    lines = [
        "# LLM adapters: the matrix",
        "",
        "Written by `tests/llm/matrix_page.py`; do not edit. The real SDKs, blocking and async,",
        "against a server on loopback that speaks each wire protocol and fails in these ways;",
        "no live provider. The tests hold each cell.",
        "",
        count(measured),
        "",
        "- **next**: the failed provider was left, and the next one's answer came whole; midway",
        '  behind a `Takeover` marker (`mid_stream="restart"`).',
        "- **error**: the provider's own error is yours, and nobody else was asked.",
        "- **whole**: the answer came whole, from the provider that was asked first.",
        "",
        "Before the arrow stands what `except <the SDK's base error>` around the SDK's own stream",
        "did with the same fault, where that was measured: it *caught* it, it *escapes* as a class",
        "that is not the SDK's, it is *silent* (a cut answer looks like a good one), it *hangs*.",
        "",
        "Measured with " + ", ".join(sorted({each["version"] for each in measured.values()})) + ".",
        "What the faults do is told in `tests/llm/faults.py`.",
    ]
    for title, faults in SECTIONS.items():
        lines += ["", f"## {title}", "", *table(measured, faults)]
    lines += [
        "",
        "`slow-tokens` of google-genai with aiohttp: its time-out is one for the whole answer.",
        "`ok-u2028` of ollama: it takes U+2028 for the end of a line. Both raise, so the stream",
        "goes on with the next provider.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write both files."""
    logging.getLogger("failover_iter").disabled = True
    logging.disable()
    warnings.simplefilter("ignore")
    measured = measure()
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(measured), "utf-8")
    print(count(measured))


if __name__ == "__main__":
    main()
