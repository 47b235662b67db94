"""`check_failover_laws`: check any combinator of sources against the laws of failover."""

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
    """Check a combinator of sources against the laws of failover, with random plans.

    The laws are: identity (over one source it behaves like `yield from`), laziness, switching,
    transparency, blame, exhaustion, associativity, one at a time, closing, twins, no shared
    state, constant memory. `failover_stream` obeys all of them.

    Args:
        combinator: a callable that takes an iterable of factories and returns a stream. The
            stream opens each source at most once.
        failure: the exception class (subclasses included) on which the combinator switches to
            the next source. It must not switch on any other exception.
        mode: how the next source takes over mid-stream. "skip" drops the items that were
            already delivered, "restart" delivers them again, "raise" does not take over, and
            "resume" calls the factory with the number of delivered items, or with an object
            that has it as `delivered`.
        flavour: "sync", "asyncio" or "trio".
        nest: turns a list of factories into one factory. By default, that factory opens the
            combinator over the list. In mode "resume", associativity is checked only if `nest`
            is given.
        twin: the same combinator in the other flavour, for the law of twins.
        laws: the names of the laws to check; by default all.
        max_examples: the number of plans for each check; by default the number in the loaded
            Hypothesis profile.

    Raises:
        ValueError: a law, the mode or the flavour is unknown.
        ExceptionGroup: laws are broken. The group holds one error for each; the last note of an
            error names the law.

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
        except Exception as error:  # noqa: BLE001 (raised below, with the errors of the other laws)
            error.add_note(f"the law of {name}: {inspect.getdoc(LAWS[name])}")
            errors.append(error)
    if errors:
        name = getattr(combinator, "__name__", repr(combinator))
        raise ExceptionGroup(f"{name} breaks laws of failover", errors)
