"""The states of a run: what a driver may say in each, and where that may lead.

A driver starts the run and carries out what it answers. It opens the source of an `Attempt`, and
pulls it until the attempt commits; says `committed`; delivers until the source ends or fails, or
the consumer leaves; closes what it opened; and says what came of it. After a pause it says `slept`,
after a question `admitted`.

========== ========================================= ==========================================
state      the driver                                what it may say
========== ========================================= ==========================================
IDLE       has not been asked for an item            start
OPENING    opens a source, pulls until it commits    committed, failed, ended, left, interrupted
ASKING     asks the health of a source               admitted, interrupted
DELIVERING delivers what the source yields           failed, ended, left, interrupted
WAITING    pauses before the next opening            slept, interrupted
SAVING     saves the checkpoint for the last time    saved, interrupted
DONE       raises an error, or returns               nothing
========== ========================================= ==========================================

`failed`, `ended` and `left` are said once the source was closed. A source that ended may have
failed all the same: it was cut, or empty. `left` means that the consumer ended the attempt, or that
the source raised a BaseException. `interrupted` means that code of ours raised: a signal handler,
or a callback while the source was open. A callback that raises at any other input ends the run.
A pause may follow a pause, if the time of a group expires in it. A stream with a checkpoint saves
it before it completes or is closed: if that fails, the stream ends with the error.

Each contender of a race (`race.py`) is a run. All but the first `begin`, unless a signal handler
raises just before. One that has failed for
good is WITHDRAWN while others are running. The last one is CONCEDING: the driver says `conceded`.
When another one has decided the race, a run is `superseded`, whatever it does.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection


class State(Enum):
    """Where a run is."""

    IDLE = "idle"
    ASKING = "asking"
    OPENING = "opening"
    DELIVERING = "delivering"
    WAITING = "waiting"
    SAVING = "saving"
    WITHDRAWN = "withdrawn"
    CONCEDING = "conceding"
    DONE = "done"

    #: The inputs that are allowed in this state.
    inputs: Collection[str]


_AFTER: Final = frozenset({State.ASKING, State.OPENING, State.WAITING, State.DONE})
_LAST: Final = frozenset({State.DONE})
_SAVED_OR_LAST: Final = frozenset({State.SAVING, State.DONE})

#: What may be said in each state, and where that may lead.
TRANSITIONS: Final[dict[State, dict[str, frozenset[State]]]] = {
    State.IDLE: {"start": frozenset({State.ASKING, State.OPENING, State.DONE})},
    State.ASKING: {"admitted": _AFTER, "interrupted": _LAST},
    State.OPENING: {
        "committed": frozenset({State.DELIVERING}),
        "failed": _AFTER,
        "ended": _AFTER | {State.SAVING},
        "left": _SAVED_OR_LAST,
        "interrupted": _LAST,
    },
    State.DELIVERING: {
        "failed": _AFTER,
        "ended": _AFTER | {State.SAVING},
        "left": _SAVED_OR_LAST,
        "interrupted": _LAST,
    },
    State.WAITING: {"slept": _AFTER, "interrupted": _LAST},
    State.SAVING: {"saved": _LAST, "interrupted": _LAST},
    State.DONE: {},
}

_ENDS: Final = frozenset({State.WITHDRAWN, State.CONCEDING})

#: What else may be said to a contender of a race, and where that may lead.
IN_RACE: Final[dict[State, dict[str, frozenset[State]]]] = {
    State.IDLE: {
        "begin": frozenset({State.ASKING, State.OPENING, State.WITHDRAWN, State.DONE}),
        "interrupted": _LAST,
    },
    State.ASKING: {"admitted": _ENDS, "superseded": _LAST},
    State.OPENING: {"failed": _ENDS, "ended": _ENDS, "superseded": _LAST},
    State.WAITING: {"slept": frozenset({State.CONCEDING}), "superseded": _LAST},
    State.WITHDRAWN: {"superseded": _LAST, "interrupted": _LAST},
    State.CONCEDING: {"conceded": _AFTER, "superseded": _LAST, "interrupted": _LAST},
}
for _state in State:
    _state.inputs = TRANSITIONS.get(_state, {}).keys() | IN_RACE.get(_state, {}).keys()
