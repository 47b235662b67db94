"""`check_failover_laws`: the laws of failover as a suite for anybody's combinator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, get_args

from failover_iter.testing._laws import LAWS, Combinator, Suite
from failover_iter.testing._run_plan import FLAVOURS, Flavour
from failover_iter.typing import Mode


def check_failover_laws(
    combinator: Combinator,
    *,
    failure: type[Exception] = ConnectionError,
    mode: Mode = "skip",
    flavour: Flavour = "sync",
    nest: Callable[[list[Any]], Any] | None = None,
    twin: Combinator | None = None,
    laws: Iterable[str] | None = None,
    max_examples: int | None = None,
) -> None:
    """Check a combinator of sources against the laws of failover, with plans at random.

    The laws: identity (over one source it behaves as `yield from`), laziness, switching,
    transparency, blame, exhaustion, associativity, one at a time, closing, twins, no shared
    state, constant memory. `failover_stream` keeps all of them.

    Args:
        combinator: called with an iterable of factories; gives the stream over them, that opens
            each once.
        failure: the exception that makes it go on to the next source, subclasses included; no
            other must.
        mode: how it takes over once items were delivered: "skip" drops what was delivered,
            "restart" delivers it again, "raise" does not take over, "resume" calls the factory
            with what has a `delivered`, or with a number.
        flavour: "sync", "asyncio" or "trio".
        nest: a list of factories as one factory; by default it opens the combinator over them.
            Under "resume" the law of associativity is checked only with it.
        twin: the same of the other flavour, for the law of twins.
        laws: the names of those to check; all by default.
        max_examples: plans for each question; by default as in the loaded Hypothesis profile.

    Raises:
        ValueError: there is no such law, mode or flavour.
        ExceptionGroup: an error for each law that is broken, which one in its notes.

    Example:
        >>> from failover_iter import failover_stream
        >>> from failover_iter.testing import check_failover_laws
        >>> check_failover_laws(
        ...     lambda factories: failover_stream(
        ...         factories, retry_on=ConnectionError, mid_stream="skip"
        ...     ),
        ...     mode="skip",
        ...     laws=["blame", "closing"],
        ...     max_examples=20,
        ... )
    """
    for name, value, allowed in (("mode", mode, get_args(Mode)), ("flavour", flavour, FLAVOURS)):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
    suite = Suite(
        combinator=combinator,
        mode=mode,
        failure=failure,
        flavour=flavour,
        nest=nest,
        twin=twin,
        max_examples=max_examples,
    )
    errors: list[Exception] = []
    for name in LAWS if laws is None else laws:
        if name not in LAWS:
            raise ValueError(f"laws must be among {', '.join(LAWS)}; got {name!r}")
        try:
            LAWS[name](suite)
        except Exception as error:  # noqa: BLE001 (raised below, with those of the other laws)
            error.add_note(f"the law of {name}: {inspect.getdoc(LAWS[name])}")
            errors.append(error)
    if errors:
        kept = getattr(combinator, "__name__", repr(combinator))
        raise ExceptionGroup(f"{kept} breaks laws of failover", errors)
