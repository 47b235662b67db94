"""Subtle mutants: streams of the library with one bug that few plans show.

Each takes factories, as a combinator does, in mode "skip". Those with `waits` open each source
twice, with a pause in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from failover_iter import DivergedStream, Event
from failover_iter._drivers.clock import clock
from failover_iter.events import Failed

from .async_survivors import (
    awaited_source_left_open,
    cancellation_swallowed_in_a_wait,
    first_pull_in_another_task,
    leak_when_cancelled_in_the_first_pull,
    shielded_opening_leaks,
)
from .wrapping import WithoutClose, relayed, right, wrapped

# Errors.


def on_error(change: Callable[[Exception], object]) -> Any:
    """A mutant that does something to each error that reaches the consumer."""

    def mutant(factories: Any) -> Any:
        try:
            return (yield from right(factories))
        except Exception as error:
            change(error)
            raise

    return mutant


def edit_notes(edit: Callable[[list[str]], list[str]]) -> Any:
    def change(error: Exception) -> None:
        if hasattr(error, "__notes__"):
            error.__notes__[:] = edit(error.__notes__)

    return on_error(change)


def set_attribute(name: str) -> Any:
    return on_error(lambda error: setattr(error, name, None))


def traceback_cut(factories: Any) -> Any:
    try:
        return (yield from right(factories))
    except Exception as error:
        caught = error
    raise caught.with_traceback(None)


def first_error_from_four_on(factories: Any) -> Any:
    errors: list[BaseException] = []

    def listen(event: Event) -> None:
        if isinstance(event, Failed):
            errors.append(event.error)

    try:
        return (yield from right(factories, on_event=listen))
    except Exception:
        first = errors[0] if len(errors) >= 4 else None
        errors.clear()
        if first is None:
            raise
        try:
            raise first from None
        finally:
            del first  # or there would be a cycle, which is another bug


def any_for_all(factories: Any) -> Any:
    def matches(error: Exception, judge: Any = all) -> bool:
        if isinstance(error, ExceptionGroup):
            return judge(matches(each, any) for each in error.exceptions)
        return isinstance(error, ConnectionError)

    return right(factories, retry_on=matches)


def exit_in_close_swallowed(factories: Any) -> Any:
    def wrap(factory: Any, args: Any) -> Any:
        source = factory(*args)
        try:
            return (yield from iter(source))
        finally:
            with suppress(BaseException):
                source.close()

    return right(wrapped(factories, wrap))


def keeps_all_errors(factories: Any) -> Any:
    kept: list[Exception] = []

    def failed(error: Exception) -> bool:
        kept.append(error)
        return isinstance(error, ConnectionError)

    return right(factories, retry_on=failed)


#: As in a policy that many streams share.
HISTORY: deque[Exception] = deque(maxlen=1000)


def keeps_errors_for_good(factories: Any) -> Any:
    def failed(error: Exception) -> bool:
        HISTORY.append(error)
        return isinstance(error, ConnectionError)

    return right(factories, retry_on=failed)


def cycle_on_raise(factories: Any) -> Any:
    try:
        return (yield from right(factories))
    except Exception as error:
        kept = error  # noqa: F841 (the traceback of the error keeps this frame)
        raise


# Items.


class Counted:
    """Factories that count how many were called."""

    def __init__(self, factories: Any) -> None:
        self.opened = 0
        self.factories = wrapped(factories, self.open)

    def open(self, factory: Any, args: Any) -> Any:
        self.opened += 1
        return factory(*args)


def duplicate_after_three_switches(factories: Any) -> Any:
    counted = Counted(factories)
    done = False

    def twice_once(item: Any) -> list[Any]:
        nonlocal done
        done, repeats = done or counted.opened > 3, counted.opened > 3 and not done
        return [item, item] if repeats else [item]

    return relayed(right(counted.factories), twice_once)


def item_lost_from_five_on(factories: Any) -> Any:
    place = count()
    return relayed(right(factories), lambda item: [] if next(place) == 5 else [item])


def short_replica_from_four_on(factories: Any) -> Any:
    delivered = 0

    def counted(item: Any) -> list[Any]:
        nonlocal delivered
        delivered += 1
        return [item]

    try:
        return (yield from relayed(right(factories), counted))
    except DivergedStream:
        if delivered < 4:
            raise


# The protocol of generators.


def value_lost_after_a_switch(factories: Any) -> Any:
    counted = Counted(factories)
    value = yield from right(counted.factories)
    return value if counted.opened == 1 else None


def send_lost_after_a_switch(factories: Any) -> Any:
    counted = Counted(factories)
    stream = right(counted.factories)
    sent: Any = None
    try:
        while True:
            try:
                item = stream.send(sent if counted.opened < 2 else None)
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield item
            except GeneratorExit:
                raise
            except BaseException as error:
                sent = yield stream.throw(error)
    finally:
        stream.close()


def blame_kept_after_an_answer(factories: Any) -> Any:
    blamed = False
    stream = right(
        factories, retry_on=lambda error: isinstance(error, ConnectionError) and not blamed
    )
    sent: Any = None
    try:
        item = next(stream)
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                raise
            except BaseException as error:
                blamed = True
                item = stream.throw(error)
            else:
                item = stream.send(sent)
    except StopIteration as stop:
        return stop.value
    finally:
        stream.close()


# Closing.


class IteratorHidden:
    def __init__(self, source: Any) -> None:
        self.source = source

    def __iter__(self) -> Any:
        return WithoutClose(iter(self.source))

    def close(self) -> None:
        self.source.close()


def iterator_left_open(factories: Any) -> Any:
    def wrap(factory: Any, args: Any) -> Any:
        source = factory(*args)
        is_both = not hasattr(source, "__next__") and hasattr(source, "close")
        return IteratorHidden(source) if is_both else source

    return right(wrapped(factories, wrap))


def interrupt_swallowed_in_a_wait(factories: Any) -> Any:
    def paused() -> Iterator[Any]:
        for factory in factories:
            yield factory
            with suppress(KeyboardInterrupt):
                clock.get().sleep(2)
            yield factory

    return right(paused())


@dataclass(frozen=True)
class Survivor:
    """A mutant, the law of `check_failover_laws` that it breaks, and the oracle that sees it."""

    name: str
    stream: Callable[[Any], Any]
    law: str
    #: None: it takes more than one run to see the bug.
    oracle: str | None
    faults: tuple[str, ...] = ("raises",)
    consumers: tuple[str, ...] = ("drain",)
    is_async: bool = False
    waits: bool = False
    sources: int = 2


def _sync(stream: Any, law: str, oracle: str | None, *faults: str, **more: Any) -> Survivor:
    name = more.pop("name", getattr(stream, "__name__", ""))
    return Survivor(name, stream, law, oracle, faults or ("raises",), **more)


def _async(stream: Any, law: str, oracle: str, *faults: str, **more: Any) -> Survivor:
    return _sync(stream, law, oracle, *faults, is_async=True, **more)


SURVIVORS = [
    _sync(edit_notes(lambda _: []), "exhaustion", "told", name="notes_forgotten"),
    _sync(
        edit_notes(lambda notes: [note for note in notes if "closing" not in note]),
        "exhaustion",
        "told",
        "raises", "iterator", "close raises",
        name="close_error_not_noted",
    ),
    _sync(set_attribute("__cause__"), "exhaustion", "intact", "chained", name="cause_wiped"),
    _sync(set_attribute("__context__"), "exhaustion", "intact", "chained", name="context_wiped"),
    _sync(traceback_cut, "exhaustion", "intact"),
    _sync(
        edit_notes(lambda notes: notes[::-1]), "exhaustion", "told", name="notes_reversed",
        sources=3,
    ),
    _sync(first_error_from_four_on, "exhaustion", "same_error", sources=6),
    _sync(any_for_all, "transparency", "transparent", "raises", "mixed"),
    _sync(
        exit_in_close_swallowed, "transparency", "transparent",
        "raises", "close base", "iterator",
    ),
    _sync(keeps_all_errors, "constant memory", None),
    _sync(keeps_errors_for_good, "constant memory", "no_kept_error"),
    _sync(cycle_on_raise, "exhaustion", "no_cycle"),
    _sync(duplicate_after_three_switches, "switching", "no_duplicates", sources=6),
    _sync(item_lost_from_five_on, "switching", "no_loss"),
    _sync(short_replica_from_four_on, "switching", "no_loss", "raises", "ends early"),
    _sync(value_lost_after_a_switch, "switching", "returns", "raises", "returning"),
    _sync(send_lost_after_a_switch, "switching", "sends", consumers=("drain", "send")),
    _sync(
        blame_kept_after_an_answer, "blame", "no_loss", "raises", "answering",
        consumers=("throw",),
    ),
    _sync(iterator_left_open, "closing", "no_leak", "raises", "both"),
    _sync(
        interrupt_swallowed_in_a_wait, "transparency", "transparent",
        consumers=("cancel_at",), waits=True,
    ),
    _async(first_pull_in_another_task, "one task", "same_task"),
    _async(awaited_source_left_open, "closing", "no_leak", "raises", "iterator", "opens slowly"),
    _async(
        cancellation_swallowed_in_a_wait, "transparency", "transparent",
        consumers=("cancel_at",), waits=True,
    ),
    _async(
        shielded_opening_leaks, "closing", "no_leak", "raises", "iterator", "opens slowly",
        consumers=("cancel_at",),
    ),
    _async(
        leak_when_cancelled_in_the_first_pull, "closing", "no_leak", "raises", "iterator", "slow",
        consumers=("cancel_at",),
    ),
]  # fmt: skip
