"""The results of a loop over each SDK's stream, with `except <the SDK's base error>` around it.

Measured in November 2026 with the SDKs of that time, the faults of this server and a client timeout
of 1.5 s. Blocking and async streams gave the same results, except where a cell has two words.
"caught": the `except` caught the error, so the next provider could be tried. "escapes": the error
has a class that the `except` does not catch. "silent": an empty or truncated answer looked like a
good one. "hangs": the loop does not end while pings arrive.
"""

from __future__ import annotations

SDKS = (
    "openai-chat",
    "openai-responses",
    "anthropic",
    "google-genai",
    "google-genai-noaiohttp",
    "mistralai",
    "cohere",
    "ollama",
    "groq",
    "bedrock",
    "litellm-openai",
    "litellm-anthropic",
)
#: One column for each of SDKS: c(aught), E(scapes), S(ilent), H(angs), r(aised), ok, W(rong text).
TABLE = """
status-429               c c c c c c c c c c c c
status-500               c c c c c c c c c c c c
status-529               c c c c c c c c c c c c
conn-refused             c c c E E E E E c E c c
drop-after-0             c c c E E E E E c E c c
slow-headers             c c c E E E E E c E c c
slow-first               c c E E E E E E E E c c
drop-after-3             c c E E E E E E E E c c
fin-after-3              c c E E E E E E E E c c
stall-after-3            c c E E E E E E E E c c
ping-stall-after-3       H H H r r H H H H H H H
error-event-after-3      c S c c c c S c c c c c
error-event-alt-after-3  S S c c c S S c S c S c
stop-then-error-after-3  c S c c c c S c c c c S
cut-after-3              S S S S S S S S S S S S
cut-midline-after-3      S S S E E c S E S S S S
done-no-finish-after-3   S S S S S S S S S S S S
malformed-after-3        E E E E E c S E E S c S
empty                    S S S S S S S S S S S S
html-200                 S S S E E c E E S E S S
json-error-200           S S S c c c E c S E S S
slow-tokens              ok ok ok ok/r ok ok ok ok ok ok ok ok
ok-u2028                 ok ok ok ok ok ok ok r ok ok ok W
"""
WORDS = {
    "c": "caught",
    "E": "escapes",
    "S": "silent",
    "H": "hangs",
    "r": "raised",
    "ok": "whole",
    "ok/r": "whole / raised",
    "W": "wrong",
}
UNAIDED: dict[tuple[str, str], str] = {
    (fault, sdk): WORDS[word]
    for fault, *words in (line.split() for line in TABLE.strip().splitlines())
    for sdk, word in zip(SDKS, words, strict=True)
}
