"""Measures the matrix and writes `docs/llm-matrix.md`.

    PYTHONPATH=tests python -m llm.matrix_page

The results of SDKs that are not installed are kept from `measured.json`. So run it once in an
environment with litellm, and once in one with all other SDKs.
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
    "Mid-stream": MID_STREAM,
    "Request errors": REQUEST_ERRORS,
    "Healthy streams": HEALTHY,
}
NEXT, ERROR, WHOLE, LOST = "next", "error", "whole", "**WRONG**"
DISTRIBUTIONS = {"google.genai": "google-genai"}


INTRO = """\
# LLM adapters: the matrix

This page is written by `tests/llm/matrix_page.py`; do not edit it. It shows the real SDKs, blocking
and async, against a server on loopback that speaks each wire protocol and fails in these ways. No
live provider is involved. The tests check each cell.

{summary}

- **next**: the stream left the failed provider and delivered the next one's whole answer;
  mid-stream, after a `Takeover` marker (`mid_stream="restart"`).
- **error**: the stream raised the provider's own error and asked no other provider.
- **whole**: the stream delivered the whole answer of the first provider.

If there is an arrow, the word before it says what the same fault caused in a plain loop over the
SDK's stream with `except <the SDK's base error>` around it:

- *caught*: the `except` caught the error.
- *escapes*: the loop raised an error of a class that the `except` does not catch.
- *silent*: the loop ended normally, although the answer was empty or cut off.
- *hangs*: the loop did not end.
- *raised*, *whole*, *wrong*: the loop raised, delivered the whole answer, or delivered wrong text.

Measured with {versions}.
The faults are defined in `tests/llm/faults.py`."""
NOTES = """\
google-genai with aiohttp raises on `slow-tokens`, because its timeout limits the whole answer.
ollama raises on `ok-u2028`, because it treats U+2028 as the end of a line. In both cases the next
provider takes over.
"""


def verdict(fault: str, outcome: Outcome) -> str:
    """Return the outcome of a stream as one word."""
    whole = outcome.last is not None and outcome.last.finish_reason == "stop"
    if outcome.requests[1] and outcome.text == BACKUP_TEXT and outcome.error is None and whole:
        return NEXT if outcome.before in {"", PARTIAL_TEXT} or fault in HEALTHY else LOST
    if outcome.error is not None and not outcome.text:
        return ERROR
    right = UNICODE_TEXT if fault == "ok-u2028" else BACKUP_TEXT
    return WHOLE if outcome.text == right and outcome.error is None and whole else LOST


def verdicts(harness: Harness, sdk: SDK) -> dict[str, dict[str, str]]:
    """Return the verdicts for one SDK, by fault and flavour."""
    return {
        fault: {
            flavour: verdict(fault, harness.outcome(sdk, flavour, fault))
            for flavour in sdk.flavours
        }
        for faults in SECTIONS.values()
        for fault in faults
    }


def measure() -> dict[str, Any]:
    """Measure the installed SDKs and return the results of all, old ones included."""
    measured: dict[str, Any] = json.loads(MEASURED.read_text("utf-8")) if MEASURED.exists() else {}
    installed = [sdk for sdk in SDKS.values() if sdk.installed]
    if importlib.util.find_spec("litellm"):  # it installs SDKs of other providers
        installed = [sdk for sdk in installed if sdk.package == "litellm"]
    variants = [(sdk, flavour) for sdk in installed for flavour in sdk.flavours]
    with new_harness(variants) as harness:
        for sdk in installed:
            name = DISTRIBUTIONS.get(sdk.package, sdk.package)
            version = f"{name} {importlib.metadata.version(name)}"
            measured[sdk.name] = {"version": version, "verdicts": verdicts(harness, sdk)}
    return {name: measured[name] for name in SDKS if name in measured}


def cell(measured: dict[str, Any], fault: str, sdk: str) -> str:
    """Return the text of one cell: the SDK alone, and this library."""
    by_flavour = measured[sdk]["verdicts"][fault]
    ours = " / ".join(dict.fromkeys(by_flavour.values()))
    unaided = UNAIDED.get((fault, sdk))
    return f"{unaided} → {ours}" if unaided else ours


def table(measured: dict[str, Any], faults: list[str]) -> list[str]:
    """Return the lines of one table, with a row for each fault."""
    head = " | ".join(["fault", *measured])
    lines = [f"| {head} |", "|---" * (len(measured) + 1) + "|"]
    for fault in faults:
        cells = " | ".join(cell(measured, fault, sdk) for sdk in measured)
        lines.append(f"| {fault} | {cells} |")
    return lines


def count(measured: dict[str, Any]) -> str:
    """Summarise the verdicts in one sentence."""
    runs = [
        word
        for of_sdk in measured.values()
        for fault in [*BEFORE_CONTENT, *MID_STREAM]
        for word in of_sdk["verdicts"][fault].values()
    ]
    served = runs.count(NEXT)
    return f"{len(runs)} runs need another provider; in {served} of them it delivered the answer."


def page(measured: dict[str, Any]) -> str:
    """Return the text of the page."""
    versions = ", ".join(sorted({each["version"] for each in measured.values()}))
    sections = [
        f"## {title}\n\n" + "\n".join(table(measured, faults)) for title, faults in SECTIONS.items()
    ]
    intro = INTRO.format(summary=count(measured), versions=versions)
    return "\n\n".join([intro, *sections, NOTES])


def main() -> None:
    """Measure and write both files."""
    logging.getLogger("failover_iter").disabled = True
    logging.disable()
    warnings.simplefilter("ignore")
    measured = measure()
    MEASURED.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(measured), "utf-8")
    print(count(measured))


if __name__ == "__main__":
    main()
