"""Counting items without making a number for each.

`count += 1` makes a new int for nearly every item, which costs a third of what a generator does.
`tally = AFTER[tally]` takes one that is there. Past the end of the table it raises IndexError: then
the driver adds up what was counted, takes note of this one item in the careful way, and begins
again. It adds up with no call in between, for a signal that comes in there must not lose the count.

A `Takeover` is no item and must not be counted, wherever it comes from. To look at the type of each
item costs more than to count it; so the table is emptied when the first marker is made. A stream
that counts meets the IndexError at its next item, before that is delivered, and looks at the type
of each from there on.
"""

from __future__ import annotations

from typing import Final

#: `AFTER[n]` is n + 1.
AFTER: Final = list(range(1, 4097))


def look_at_each_item() -> None:
    """A marker is made: from here on items may be none."""
    AFTER.clear()
