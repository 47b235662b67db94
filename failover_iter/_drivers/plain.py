"""Iterators that a bare `for` serves as well as a `yield from` would, and faster.

They have no value to return, and no use for what the consumer sends.
"""

from __future__ import annotations

import sys
from opcode import EXTENDED_ARG, hasjrel, opmap
from types import CodeType, GeneratorType
from typing import Any, Final
from weakref import ref

#: Iterators of builtins have no `send`, no `throw`, no `close`, and never a value to return.
_EMPTY: Any = ([], (), range(0), {}, {}.values(), {}.items(), set[Any](), "", b"")
_PLAIN: Final[set[type[Any]]] = {type(iter(empty)) for empty in _EMPTY}

#: Versions whose instructions are known here; of a generator under any other nothing is.
_IS_KNOWN: Final = sys.version_info < (3, 14)
_YIELD: Final = opmap["YIELD_VALUE"]
#: An item is yielded, and what is sent is thrown away. A `yield from` goes on otherwise.
_YIELD_ONLY: Final = bytes([_YIELD, opmap["RESUME"], opmap["POP_TOP"]])
_RETURN: Final = opmap["RETURN_VALUE"]
#: How None is returned: by an instruction of its own since 3.12, by a pair of them before.
_RETURN_CONST: Final = opmap.get("RETURN_CONST", -1)
_LOAD: Final = opmap["LOAD_CONST"] if _RETURN_CONST < 0 else -1


def is_plain(iterator: object) -> bool:
    """Whether this has no value to return, and no use for what is sent; False if unsure."""
    return type(iterator) in _PLAIN or is_plain_generator(iterator)


def is_plain_generator(iterator: object) -> bool:
    """Whether this is a generator that is plain: one that takes what is sent, and ignores it."""
    return isinstance(iterator, GeneratorType) and _is_plain(iterator.gi_code)


#: What was found out, as long as the code lives; by identity, for its constants may have no hash.
_found: dict[int, tuple[ref[CodeType], bool]] = {}


def _is_plain(code: CodeType) -> bool:
    """Whether a generator with this code is plain; each is read once."""
    place = id(code)
    found = _found.get(place)
    if found is None:
        found = ref(code, lambda _: _found.pop(place, None)), _reads_plain(code)
        _found[place] = found
    return found[1]


def _reads_plain(code: CodeType) -> bool:
    """Whether a generator with this code is plain, as far as its instructions tell."""
    instructions = code.co_code[::2]
    ignores_sent = instructions.count(_YIELD) == instructions.count(_YIELD_ONLY)
    is_read = _IS_KNOWN and (_LOAD < 0 or EXTENDED_ARG not in instructions)  # else not its jumps
    return is_read and ignores_sent and _returns_none(code)


def _returns_none(code: CodeType) -> bool:
    instructions, arguments = code.co_code[::2], code.co_code[1::2]
    # Before 3.12 a jump may arrive at the second of the pair with a value that was made before.
    jumps = [(at, arguments[at]) for at, what in enumerate(instructions) if what in hasjrel]
    targets = {at + 1 + by for at, by in jumps} | {at + 1 - by for at, by in jumps}
    for at, what in enumerate(instructions):
        if what == _RETURN_CONST:
            load, is_const = at, True
        elif what == _RETURN:
            load, is_const = at - 1, instructions[at - 1] == _LOAD and at not in targets
        else:
            continue
        is_short = instructions[load - 1] != EXTENDED_ARG
        if not (is_const and is_short and code.co_consts[arguments[load]] is None):
            return False
    return True
