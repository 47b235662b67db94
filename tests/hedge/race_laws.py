"""What must hold in each random race."""

from __future__ import annotations

from itertools import pairwise

from failover_iter import Closed, Completed, Failed, Opening, Superseded
from hedge.race_plans import SHAPES
from hedge.races import Record


def check(record: Record) -> None:
    """Check all that must hold, whatever happens."""
    for opened in record.opened:
        assert opened.closed == 1, ("closed once", opened)
        assert opened.trouble is None, opened
    for left in record.open_at:
        # H2: a loser is closed before the first item, or it was blocked and is abandoned.
        abandoned = [
            event.source
            for event in record.events
            if record.flavour == "sync" and getattr(event, "abandoned", False)
        ]
        resting = [each for each in left if f"s{each.source}" not in abandoned]
        assert len(resting) <= 1, ("a loser is open", left, record.events)
    if record.shape == "resume" or SHAPES[record.shape][1].get("mid_stream") == "skip":
        assert record.got == list(range(len(record.got))), record.got
    else:
        _check_one_winner(record)
    _check_events(record)
    if record.shape == "plain":
        _check_times(record)


def _check_one_winner(record: Record) -> None:
    """H1: the items of one source, from its first; a takeover starts over."""
    last = -1
    for item in record.got:
        assert item in (last + 1, 0), record.got
        last = item


def _check_events(record: Record) -> None:
    """Each opening has one end."""
    running: dict[tuple[int, str, int], object] = {}
    for event in record.events:
        place = event.stream, event.source, event.attempt
        if isinstance(event, Opening):
            assert place not in running, event
            running[place] = event
        elif isinstance(event, Failed | Completed | Closed | Superseded):
            assert running.pop(place, None), (event, record.events)
    assert not running, running


def _check_times(record: Record) -> None:
    """H3: the next source is opened `after` past the one before, or when one has failed."""
    plan = record.plan
    races = [event for event in record.events if isinstance(event, Opening)]
    stream = races[0].stream
    times = [event.elapsed for event in races if event.stream == stream]
    failed = [
        event.elapsed
        for event in record.events
        if isinstance(event, Failed) and event.stream == stream
    ]
    for before, at in pairwise(times):
        due = abs(at - before - plan.after) < 1e-6
        assert due or any(abs(at - each) < 1e-6 for each in failed) or at > before + plan.after, (
            times,
            failed,
        )
