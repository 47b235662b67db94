"""`check_failover_laws`: check any combinator of sources against the laws of failover.

Each law is a function; its docstring is the law.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final, get_args

from failover_iter.testing._plan_strategies import CONSUMERS
from failover_iter.testing._plans import LEAVING, Plan
from failover_iter.testing._runs import RunResult
from failover_iter.testing._verify import verify
from failover_iter.testing._worlds import FLAVOURS, Flavour, run_coroutine
from failover_iter.typing import Mode
from laws.identity import check_identity
from laws.suite import OUTAGES, Combinator, Suite

#: How many sources fail, and how many items arrive, in the law of constant memory.
MANY: Final = 2000
#: How many items, and how many errors, may be alive then: those that a loop, its consumer and the
#: stream hold; and for the notes, some of the first errors and of the last ones.
MOST_ITEMS, MOST_ERRORS = 4, 40


def identity(suite: Suite) -> None:
    """A stream over one source acts like `yield from`: items, send, throw, close."""
    check_identity(suite.combinator, suite.failure, flavour=suite.flavour, settings=suite.settings)


def laziness(suite: Suite) -> None:
    """No factory is taken or called and no item pulled before the consumer asks."""
    suite.explore(["lazy", "no_read_ahead"], consumers=CONSUMERS)

    def takes_no_factory_early(plan: Plan) -> None:
        taken: list[int] = []

        def counted(factories: Iterable[Any]) -> Iterator[Any]:
            for number, factory in enumerate(factories):
                taken.append(number)
                yield factory

        def no_factory_is_taken_before_its_turn(run: RunResult) -> bool:
            return len(taken) <= len(run.entries("open"))

        verify(
            lambda *factories: suite.combinator(counted(factories)),
            plan,
            oracles=no_factory_is_taken_before_its_turn,
            flavour=suite.flavour,
        )

    suite.each(takes_no_factory_early, consumers=("drain", "close"))


def switching(suite: Suite) -> None:
    """When a source fails, in any phase, the next one takes over as the mode says."""
    suite.explore(["returns", "sends"], faults=("raises", "returning"), consumers=("drain", "send"))
    suite.explore(suite.model, faults=("raises", "ends early", "empty"))
    suite.explore(suite.model, faults=(*OUTAGES, "ends early", "empty"))
    # A source may answer a cancellation with another error, which is a failure like any other.
    leaving = [how for how in LEAVING if how not in ("cancel", "cancel_at")]
    whole = "exactly_once" if suite.is_exactly_once else "nothing_else"
    suite.explore([suite.model, whole], faults=OUTAGES, consumers=("drain", "slow", *leaving))


def transparency(suite: Suite) -> None:
    """An error that is not a source failure reaches the consumer unchanged and opens nothing."""
    suite.explore(["transparent", "intact", "told", suite.model])
    if suite.waiting is not None:
        suite.explore("transparent", consumers=("cancel_at",), combinator=suite.waiting)
    suite.explore("transparent", consumers=("cancel", "cancel_close", "cancel_at"))


def blame(suite: Suite) -> None:
    """A throw, send or close by the consumer never causes a switch."""
    suite.explore(["transparent", "no_reopen"], consumers=(*LEAVING, "send"))
    answering = ("raises", "answering")
    suite.explore(["transparent", suite.model], faults=answering, consumers=("throw",))
    unbroken = ["no_duplicates", "in_order"] if suite.is_exactly_once else []
    meddling = ("send", "reenter", "concurrent")
    suite.explore([*unbroken, "nothing_else"], faults=OUTAGES, consumers=meddling)


def exhaustion(suite: Suite) -> None:
    """When the last source fails, the consumer gets its error, the same object.

    It reports the earlier ones.
    """
    suite.explore(["same_error", "told", "intact", "no_cycle"])
    failing = ("raises", "call", "iter", "falsy", "chained", "iterator", "close raises")
    suite.explore(["same_error", "told", "intact"], faults=failing)
    errors = _Alive(type("Down", (suite.failure,), {}))
    gc.collect()
    gc.disable()
    try:
        _drained(suite, [errors.source()] * 2, errors)
        assert not errors.alive, "a reference cycle keeps the error that was raised"
    finally:
        gc.enable()


def associativity(suite: Suite) -> None:
    """Nested combinators deliver the same items as one flat combinator."""
    if suite.nest is None and suite.mode == "resume":
        return  # only `nest` knows how a nested stream resumes

    def opened(factories: list[Any]) -> Any:
        return lambda: suite.combinator(factories)

    def nested(factories: list[Any]) -> Any:
        return suite.combinator([factories[0], (suite.nest or opened)(factories[1:])])

    def delivers_the_same(plan: Plan) -> None:
        flat, deep = suite.run(plan), suite.run(plan, nested)
        assert _seen(deep) == _seen(flat), f"nested combinators deliver something else, for {plan}"

    suite.each(delivers_the_same, faults=OUTAGES, consumers=("drain", "close"))


def one_at_a_time(suite: Suite) -> None:
    """A failed source is closed before the next one is opened."""
    suite.explore("one_open", consumers=CONSUMERS)


def closing(suite: Suite) -> None:
    """Every opened source is closed exactly once, however the stream ends."""
    suite.explore(["no_leak", "closed_once"], consumers=CONSUMERS)
    cancelled = ["no_leak", "closed_once", "no_reopen"]
    suite.explore(cancelled, faults=OUTAGES, consumers=("cancel_at",))
    if suite.waiting is not None:
        suite.explore(cancelled, consumers=("cancel_at",), combinator=suite.waiting)


def twins(suite: Suite) -> None:
    """Both flavours open, pull, close and deliver in the same order."""
    if suite.twin is None:
        return
    twin = suite.twin
    other: Flavour = "asyncio" if suite.flavour == "sync" else "sync"

    def do_the_same(plan: Plan) -> None:
        ours, theirs = suite.run(plan), suite.run(plan, twin, flavour=other)
        assert _steps(ours) == _steps(theirs), f"the twins differ, for {plan}"

    suite.each(do_the_same, consumers=("drain", "slow", "close", "throw", "drop"))


def no_shared_state(suite: Suite) -> None:
    """Two streams do not affect each other, even if one runs within the other."""

    def shares_nothing(plan: Plan) -> None:
        other = Plan("a#", "ab|", errors=plan.errors)
        alone, other_alone = _steps(suite.run(plan)), _steps(suite.run(other))
        within: list[Any] = []

        def item(letter: str) -> str:
            if not within:
                within.append(None)
                thread = threading.Thread(target=lambda: within.append(_steps(suite.run(other))))
                thread.start()
                thread.join()
            return letter

        both = suite.run(plan, item=item)
        kept_apart = _steps(both) == alone and within[1:] in ([], [other_alone])
        assert kept_apart, f"another stream changed the result, for {plan}"

    suite.each(shares_nothing, faults=OUTAGES, consumers=("drain", "close"))


def constant_memory(suite: Suite) -> None:
    """A stream keeps at most the last delivered item and a bounded number of errors.

    Failures leave nothing on the stack.
    """
    errors, items = _Alive(type("Down", (suite.failure,), {})), _Alive(type("Item", (), {}))

    def many(*_progress: Any) -> Iterator[Any]:
        for _ in range(MANY):
            item = items.new()
            yield item
            del item

    count = _drained(suite, [*[errors.source()] * MANY, many], errors)
    assert count == MANY, f"{count} items of {MANY} were delivered"
    assert items.most <= MOST_ITEMS, f"{items.most} items were kept"
    assert errors.most <= MOST_ERRORS, f"{errors.most} errors were kept"


def one_task(suite: Suite) -> None:
    """Sources are opened and pulled in the task and the context of the consumer."""
    suite.explore("same_task", faults=OUTAGES, consumers=("drain", "slow", "send"))


#: The laws of failover by their names.
LAWS: Final[dict[str, Callable[[Suite], None]]] = {
    law.__name__.replace("_", " "): law
    for law in (
        identity, laziness, switching, transparency, blame, exhaustion, associativity,
        one_at_a_time, closing, twins, no_shared_state, constant_memory, one_task,
    )
}  # fmt: skip


def check_failover_laws(
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
    suite = Suite(combinator, failure, mode, flavour, nest, twin, waiting, max_examples)
    errors: list[Exception] = []
    for law in chosen:
        try:
            LAWS[law](suite)
        except Exception as error:
            sentence = " ".join((LAWS[law].__doc__ or "").split())
            error.add_note(f"the law of {law}: {sentence}")
            errors.append(error)
    if errors:
        name = getattr(combinator, "__name__", repr(combinator))
        raise ExceptionGroup(f"{name} breaks laws of failover", errors)


# Helpers of the laws.


class _Alive:
    """Counts how many of the objects that it makes are alive at the same time."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.alive: weakref.WeakSet[Any] = weakref.WeakSet()
        self.most = 0

    def new(self, *args: Any) -> Any:
        made = self.kind(*args)
        self.alive.add(made)
        self.most = max(self.most, len(self.alive))
        return made

    def source(self) -> Callable[..., Iterator[Any]]:
        """Return a source that raises one of them."""

        def failing(*_progress: Any) -> Iterator[Any]:
            raise self.new("down")
            yield

        return failing


def _drained(suite: Suite, sources: list[Any], errors: _Alive) -> int:
    """Return how many items the combinator delivers, without keeping one, nor the error."""

    def in_flavour(source: Any) -> Any:
        async def opened(*_progress: Any) -> AsyncIterator[Any]:
            for item in source():
                yield item
                del item

        return source if suite.flavour == "sync" else opened

    async def drain() -> int:
        count = 0
        try:
            if suite.flavour == "sync":
                for _ in suite.combinator(map(in_flavour, sources)):
                    count += 1
            else:
                async for _ in suite.combinator(map(in_flavour, sources)):
                    count += 1
        except errors.kind:
            return count
        return count

    return int(run_coroutine(suite.flavour, drain()))


def _seen(run: RunResult) -> tuple[Any, ...]:
    """Return what the consumer of a run received."""
    return run.delivered, run.ended, type(run.error)


def _steps(run: RunResult) -> list[tuple[Any, ...]]:
    """Return the log of a run as comparable data: error classes, no stack depths, no times."""
    return [
        (entry.what, entry.source, entry.opening, _shown(entry.value), entry.phase != "close")
        for entry in run.log
        if entry.what not in ("stray", "end", "left", "held")
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, BaseException):
        return type(value).__name__
    return None if isinstance(value, int) else value
