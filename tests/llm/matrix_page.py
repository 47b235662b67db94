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

from llm.contents import (
    CONTENTS,
    ERROR,
    LOST,
    NEXT,
    ODD_SHAPES,
    WHOLE,
    applies,
    faults_of,
)
from llm.descriptions import DESCRIPTIONS
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
from llm.losses import LOSSES
from llm.parts import is_whole
from llm.sdks import SDK, SDKS
from llm.unaided import UNAIDED

HERE = Path(__file__).parent
MEASURED = HERE / "measured.json"
PAGE = HERE.parents[1] / "docs" / "llm-matrix.md"
SECTIONS = {
    "Before any content": BEFORE_CONTENT,
    "Mid-stream": MID_STREAM,
    "Content that is easily lost": list(LOSSES),
    "What compatible servers send": list(ODD_SHAPES),
    "Request errors": REQUEST_ERRORS,
    "Healthy streams": HEALTHY,
}
DISTRIBUTIONS = {"google.genai": "google-genai"}
#: The class of each word: how a cell is coloured.
CLASSES = {NEXT: "good", WHOLE: "good", ERROR: "plain", LOST: "bad"}
BAD_ALONE = {"escapes", "silent", "hangs", "wrong"}

INTRO = """\
# LLM adapters: the matrix

This page is written by `tests/llm/matrix_page.py`; do not edit it. It shows the real SDKs, blocking
and async, against a server on loopback that speaks each wire protocol and fails in these ways. No
live provider is involved. The tests check each cell.

{summary}

The first word of a cell says what `chat_stream` did:

- **next**: it left the failed provider and delivered the next one's whole answer; mid-stream, after
  a `Takeover` marker (`mid_stream="restart"`).
- **error**: it raised the provider's own error and asked no other provider.
- **whole**: it delivered the whole answer of the first provider, with its usage, and asked no
  other.
- **lost**: the SDK itself dropped a part or made it up, before the adapter could see it.

The second word says what the same fault caused in a plain loop over the SDK's stream with
`except <the SDK's base error>` around it. A cell without one was not measured in this way.

- *caught*: the `except` caught the error.
- *escapes*: the loop raised an error of a class that the `except` does not catch.
- *silent*: the loop ended normally, although the answer was empty or cut off.
- *hangs*: the loop did not end.
- *raised*, *whole*, *wrong*: the loop raised, delivered the whole answer, or delivered wrong text.

## At a glance

The faults before any content and mid-stream: how many of those that were measured the plain loop
caught, and what `chat_stream` did about all of them.

{glance}"""
NOTES = """\
google-genai with aiohttp raises on `slow-tokens`, because its timeout limits the whole answer.
ollama raises on `ok-u2028`, because it treats U+2028 as the end of a line. In both cases the next
provider takes over.

litellm itself reads the streams, and hands on what it has understood. It ignores the input and the
signature in the start of a block of Anthropic's, and a text that is not a string; it replaces a
usage that it does not understand with zeros. No adapter can deliver what it does not get.
"""


def verdict(fault: str, outcome: Outcome, sdk: SDK) -> str:
    """Return the outcome of a stream as one word."""
    content = CONTENTS.get(fault, {}).get(sdk.protocol)
    if content is not None and not outcome.requests[1]:
        whole = outcome.error is None and is_whole(outcome.items, content)
        return WHOLE if whole else ERROR if outcome.error else LOST
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
            flavour: verdict(fault, harness.outcome(sdk, flavour, fault), sdk)
            for flavour in sdk.flavours
        }
        for fault in faults_of(sdk)
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
    """Return one cell: what this library did, and below it the SDK alone."""
    by_flavour = measured[sdk]["verdicts"].get(fault)
    if by_flavour is None:
        return '<td class="none">-</td>'
    words = list(dict.fromkeys(by_flavour.values()))
    alone = UNAIDED.get((fault, sdk), "")
    if alone:
        kind = "bad" if BAD_ALONE.intersection(alone.split(" / ")) else "plain"
        alone = f'<br><small class="{kind}">{alone}</small>'
    return f'<td class="{CLASSES[words[0]]}">{" / ".join(words)}{alone}</td>'


def table(measured: dict[str, Any], faults: list[str]) -> str:
    """Return one table, with a row for each fault; without the SDKs to which none applies."""
    sdks = [name for name in measured if any(applies(fault, SDKS[name]) for fault in faults)]
    head = "".join(f"<th>{name}</th>" for name in sdks)
    rows = [f"<tr><th>fault</th>{head}</tr>"]
    for fault in faults:
        cells = "".join(cell(measured, fault, sdk) for sdk in sdks)
        rows.append(f"<tr><th>{fault}<br><small>{DESCRIPTIONS[fault]}</small></th>{cells}</tr>")
    return "\n".join(['<div class="matrix"><table>', *rows, "</table></div>"])


def glance(measured: dict[str, Any]) -> str:
    """Return a table with a row for each SDK: what it notices alone, and what is done here."""
    faults = [*BEFORE_CONTENT, *MID_STREAM]
    lines = ["| SDK | alone: caught | escapes, silent or hangs | here: next |", "|---|---|---|---|"]
    for name, of_sdk in measured.items():
        alone = [UNAIDED[fault, name] for fault in faults if (fault, name) in UNAIDED]
        bad = sum(word in BAD_ALONE for word in alone)
        runs = needing(of_sdk)
        served = f"{runs.count(NEXT)} of {len(runs)}"
        lines.append(f"| {name} | {len(alone) - bad} of {len(alone)} | {bad} | {served} |")
    return "\n".join(lines)


def needing(of_sdk: dict[str, Any]) -> list[str]:
    """Return the verdicts of the runs on one SDK that need another provider."""
    faults = [*BEFORE_CONTENT, *MID_STREAM]
    found = of_sdk["verdicts"]
    return [word for fault in faults if fault in found for word in found[fault].values()]


def count(measured: dict[str, Any]) -> str:
    """Summarise the verdicts in two sentences."""
    runs = [word for of_sdk in measured.values() for word in needing(of_sdk)]
    whole = [
        word
        for of_sdk in measured.values()
        for fault in CONTENTS
        for word in of_sdk["verdicts"].get(fault, {}).values()
    ]
    lost = runs.count(LOST) + whole.count(LOST)
    return (
        f"{len(runs)} runs need another provider; in {runs.count(NEXT)} of them it delivered the "
        f"answer.\n{len(whole)} runs have content in an unusual form; in {whole.count(WHOLE)} of "
        f"them all of it was delivered, and in\n{whole.count(NEXT)} the next provider answered. "
        f"litellm itself lost something in {lost} runs."
    )


def page(measured: dict[str, Any]) -> str:
    """Return the text of the page."""
    versions = ", ".join(sorted({each["version"] for each in measured.values()}))
    sections = [f"## {title}\n\n{table(measured, faults)}" for title, faults in SECTIONS.items()]
    intro = INTRO.format(summary=count(measured), glance=glance(measured))
    measured_with = f"Measured with {versions}.\nThe faults are defined in `tests/llm`."
    return "\n\n".join([intro, *sections, NOTES + "\n" + measured_with]) + "\n"


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
