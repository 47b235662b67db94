"""`check_failover_laws`: check any combinator of sources against the laws of failover."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, get_args

from failover_iter.testing._composed import equals
from failover_iter.testing._law_checks import OUTAGES, Combinator, Suite
from failover_iter.testing._law_models import delivered_under
from failover_iter.testing._plan_strategies import CONSUMERS
from failover_iter.testing._plans import LEAVING
from failover_iter.testing._worlds import FLAVOURS, Flavour
from failover_iter.typing import Mode

#: The laws of failover, each in a sentence.
LAWS: Final = {
    "identity": "A stream over one source acts like `yield from`: items, send, throw, close.",
    "laziness": "No factory is taken or called and no item pulled before the consumer asks.",
    "switching": "When a source fails, in any phase, the next one takes over as the mode says.",
    "transparency": "An error that is not a source failure reaches the consumer unchanged and "
    "opens nothing.",
    "blame": "A throw, send or close by the consumer never causes a switch.",
    "exhaustion": "When the last source fails, the consumer gets its error, the same object, "
    "which reports the earlier ones.",
    "associativity": "Nested combinators deliver the same items as one flat combinator.",
    "one at a time": "A failed source is closed before the next one is opened.",
    "closing": "Every opened source is closed exactly once, however the stream ends.",
    "twins": "Both flavours open, pull, close and deliver in the same order.",
    "no shared state": "Two streams do not affect each other, even if one runs within the other.",
    "constant memory": "A stream keeps at most the last delivered item and a bounded number of "
    "errors, and failures leave nothing on the stack.",
    "one task": "Sources are opened and pulled in the task and the context of the consumer.",
}


def check_failover_laws(  # noqa: PLR0915 (a paragraph for each law)
    combinator: Combinator,
    *,
    failure: type[Exception] = ConnectionError,
    mode: Mode = "skip",
    flavour: Flavour = "sync",
    nest: Callable[[list[Any]], Any] | None = None,
    twin: Combinator | None = None,
    waiting: Combinator | None = None,
    laws: Iterable[str] = tuple(LAWS),
    max_examples: int | None = None,
) -> None:
    """Check a combinator of sources against the laws of failover, with random plans.

    The laws are: identity (over one source it behaves like `yield from`), laziness, switching,
    transparency, blame, exhaustion, associativity, one at a time, closing, twins, no shared
    state, constant memory, one task. `failover_stream` obeys all of them.

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
        waiting: the same combinator, except that it opens each source up to twice, and waits for
            two seconds in between: it can be interrupted there. A sync one waits on the clock of
            a `VirtualClock`, as streams of this library do.
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

    Source: `check_one_way_stream` of trio.testing.
    """
    chosen = list(laws)
    for name, value, allowed in (
        ("mode", mode, get_args(Mode)),
        ("flavour", flavour, FLAVOURS),
        *(("laws", law, LAWS) for law in chosen),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
    suite = Suite(combinator, failure, flavour, {law: LAWS[law] for law in chosen}, max_examples)
    law, check, each, explore = suite.law, suite.check, suite.each, suite.explore
    model = equals(delivered_under(mode))
    is_exactly_once = mode in ("skip", "resume")

    with law("identity"):
        check(suite.identity)

    with law("laziness"):
        explore(["lazy", "no_read_ahead"], consumers=CONSUMERS)
        each(suite.takes_no_factory_before_its_turn, consumers=("drain", "close"))

    with law("switching"):
        explore(["returns", "sends"], faults=("raises", "returning"), consumers=("drain", "send"))
        explore(model, faults=("raises", "ends early", "empty"))
        explore(model, faults=(*OUTAGES, "ends early", "empty"))
        # A source may answer a cancellation with another error, which is a failure like any other.
        leaving = [how for how in LEAVING if how not in ("cancel", "cancel_at")]
        whole = "exactly_once" if is_exactly_once else "nothing_else"
        explore([model, whole], faults=OUTAGES, consumers=("drain", "slow", *leaving))

    with law("transparency"):
        explore(["transparent", "intact", "told", model])
        if waiting is not None:
            explore("transparent", consumers=("cancel_at",), combinator=waiting)
        explore("transparent", consumers=("cancel", "cancel_close", "cancel_at"))

    with law("blame"):
        explore(["transparent", "no_reopen"], consumers=(*LEAVING, "send"))
        explore(["transparent", model], faults=("raises", "answering"), consumers=("throw",))
        unbroken = ["no_duplicates", "in_order"] if is_exactly_once else []
        meddling = ("send", "reenter", "concurrent")
        explore([*unbroken, "nothing_else"], faults=OUTAGES, consumers=meddling)

    with law("exhaustion"):
        explore(["same_error", "told", "intact", "no_cycle"])
        failing = ("raises", "call", "iter", "falsy", "chained", "iterator", "close raises")
        explore(["same_error", "told", "intact"], faults=failing)
        check(suite.leaves_no_cycle)

    with law("associativity"):
        if nest is not None or mode != "resume":  # only `nest` knows how a nested stream resumes
            each(
                lambda plan: suite.delivers_the_same_nested(plan, nest),
                faults=OUTAGES,
                consumers=("drain", "close"),
            )

    with law("one at a time"):
        explore("one_open", consumers=CONSUMERS)

    with law("closing"):
        explore(["no_leak", "closed_once"], consumers=CONSUMERS)
        cancelled = ["no_leak", "closed_once", "no_reopen"]
        explore(cancelled, faults=OUTAGES, consumers=("cancel_at",))
        if waiting is not None:
            explore(cancelled, consumers=("cancel_at",), combinator=waiting)

    with law("twins"):
        if twin is not None:
            each(
                lambda plan: suite.does_as_its_twin(plan, twin),
                consumers=("drain", "slow", "close", "throw", "drop"),
            )

    with law("no shared state"):
        each(suite.shares_nothing, faults=OUTAGES, consumers=("drain", "close"))

    with law("constant memory"):
        check(suite.keeps_little)

    with law("one task"):
        explore("same_task", faults=OUTAGES, consumers=("drain", "slow", "send"))

    suite.report()
