"""Messages help, and never hold a prompt, a key or a body."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import failover_iter
from failover_iter import (
    Decide,
    Policy,
    Progress,
    Resume,
    Skip,
    Source,
    afailover_stream,
    failover,
    failover_stream,
)
from failover_iter._core.usage import is_usage_error
from failover_iter._validation import shown
from support.flavour import AsyncFlavour, SyncFlavour

SECRET = "sk-1234567890 and a prompt of the user"


class Client:
    """Shows what it holds, as many clients do."""

    def __init__(self) -> None:
        self.key = SECRET

    def __repr__(self) -> str:
        return f"Client(key={self.key!r})"

    def rows(self, table: str) -> Iterator[int]:
        yield 1

    def __await__(self) -> Iterator[Any]:
        return iter([])


class Rows(Client):
    """An iterator, and no factory."""

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> int:
        return 1


def opens(*_: Any, **__: Any) -> Iterator[str]:
    yield "a"
    yield "b"


async def later(*_: Any) -> bool:
    return True


def broken() -> Iterator[str]:
    yield SECRET
    raise ConnectionError


def longer(pieces: list[str]) -> Iterator[str]:
    yield pieces.pop()
    raise ConnectionError


class Uncopyable(Client):
    def __deepcopy__(self, _: object) -> Any:
        raise TypeError("cannot be copied")


def held(value: Any) -> None:
    stream = failover_stream([opens], retry_on=OSError, commit_when=2)
    next(stream)
    stream.send(value)


def drain(factory: Any, **options: Any) -> Any:
    return list(failover_stream([factory], **{"retry_on": OSError, **options}))


WRONG: dict[str, Any] = {
    "factories": lambda: failover_stream(SECRET, retry_on=OSError),  # type: ignore[arg-type]
    "factories, a client": lambda: failover_stream(Client(), retry_on=OSError),  # type: ignore[call-overload]
    "factories, an object": lambda: failover_stream(Client().rows, retry_on=OSError),  # type: ignore[arg-type]
    "factory, a text": lambda: failover_stream([SECRET], retry_on=OSError),
    "factory, a list": lambda: failover_stream([[SECRET]], retry_on=OSError),
    "factory, an iterator": lambda: failover_stream([Rows()], retry_on=OSError),
    "factory, a dict": lambda: Source({"key": SECRET}),  # type: ignore[arg-type]
    "source": lambda: Source(Source(partial(opens, SECRET))),
    "parameters": lambda: drain(partial(Client().rows, table=SECRET, other=SECRET)),
    "parameters, a method": lambda: drain(Client().rows),
    "progress": lambda: drain(partial(lambda *, key: [], key=SECRET), mid_stream="resume"),
    "mode": lambda: drain(Source(partial(opens, SECRET), mid_stream="skip"), mid_stream="raise"),
    "opened": lambda: drain(Client),
    "opened, a body": lambda: drain(lambda: 10**6 if SECRET == "" else Opened()),
    "callback": lambda: Policy(retry_on=partial(later, SECRET)),
    "key": lambda: drain(broken, mid_stream=Skip(key=lambda item: [item]), attempts=2),  # type: ignore[arg-type, return-value]
    "mode, decided": lambda: drain(
        lambda progress: broken(), mid_stream=Decide(lambda progress: progress.last), attempts=2
    ),
    "start": lambda: Resume(start=Uncopyable()),
    "cursors": lambda: drain(
        Source(resumes, mid_stream=Resume(start=SECRET)), mid_stream=Resume(start="other")
    ),
    "cursors, advance": lambda: drain(
        Source(resumes, mid_stream=Resume(start=1, advance=partial(later, SECRET))),
        mid_stream=Resume(start=1),
    ),
    "size": lambda: drain(
        partial(longer, [SECRET, SECRET[:9]]),
        mid_stream=Skip(size=lambda item: 2 * len(item)),
        attempts=2,
    ),
    "predicate": lambda: drain(broken, retry_on=lambda error: Client()),
    "sent": lambda: held(SECRET),
    "group": lambda: Policy(retry_on=OSError).source(Rows()),
    "decorated": lambda: failover(partial(later, SECRET), retry_on=OSError)(opens),
    "decorated, resumes": lambda: failover(retry_on=OSError, mid_stream="resume")(
        partial(Client().rows, SECRET)
    ),
    "seed": lambda: failover(retry_on=OSError, mid_stream="resume")(resumes)(progress=SECRET),
}


class Opened(Client):
    """A response that cannot be iterated."""

    __await__ = None  # type: ignore[assignment]


def resumes(progress: Progress = Progress()) -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_no_message_holds_what_a_value_holds(call: Any) -> None:
    """Each wrong use has a message, with the kinds of values and the names of functions alone."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    told = [str(caught.value), *getattr(caught.value, "__notes__", [])]
    assert not [line for line in told if "sk-1" in line or "prompt of" in line]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        (5, "5"),
        (int, "<class 'int'>"),
        ("secret", "a str"),
        ([1], "a list"),
        (OSError("secret"), "an OSError"),
        (partial(int, "secret"), "functools.partial(<class 'int'>, ...)"),
        (partial(partial(int, 1)), "functools.partial(<class 'int'>, ...)"),
        (Client().rows, "<bound method Client.rows>"),
        (Client(), "a Client"),
        (Policy(retry_on=OSError).source([opens]).factory, "<Policy.source>"),
    ],
)
def test_what_is_shown(value: object, expected: str) -> None:
    """Numbers, classes and functions are shown in full, anything else by its kind."""
    assert shown(value) == expected


def test_functions_are_shown_as_they_are() -> None:
    """Their repr says where they come from, and nothing that they hold."""
    for value in (opens, len, [].append, opens(), object(), iter([1])):
        assert shown(value) == repr(value)


def test_a_source_shows_no_argument() -> None:
    """Neither of its factory nor of its options."""
    source = Source(partial(opens, SECRET), retry_on=partial(bool, SECRET), attempts=2)
    assert repr(source) == (
        "Source(functools.partial(" + repr(opens) + ", ...), "
        "retry_on=functools.partial(<class 'bool'>, ...), attempts=2)"
    )


@pytest.mark.parametrize("flavour_class", [SyncFlavour, AsyncFlavour])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECRET, "returned a str, whose items would be single characters: yield it"),
        (b"body", "returned a bytes, whose items would be single numbers: yield it"),
        (type("Text", (str,), {})("a"), "returned a Text, whose items would be single characters"),
    ],
)
def test_a_factory_that_returns_a_text(flavour_class: Any, text: Any, words: str) -> None:
    """It is a wrong use, whatever `retry_on` says, with and without a time limit."""
    flavour = flavour_class()
    for options in ({}, {"idle_timeout": 5}):
        stream = flavour.stream([lambda: text, lambda: text], retry_on=Exception, **options)
        with pytest.raises(TypeError, match=f"^the factory of source 'source\\[0\\]' {words}") as e:
            flavour.drain(stream)
        assert is_usage_error(e.value)
        assert "sk-1" not in str(e.value)
    flavour.finish()


class Health:
    """Orders sources by health, and listens to their events."""

    def __iter__(self) -> Iterator[Any]:
        return iter([lambda: iter("ab")])

    def __call__(self, event: object) -> None: ...


@pytest.mark.parametrize("make", [failover_stream, afailover_stream])
def test_factories_that_can_be_called(make: Any) -> None:
    """An object that is callable and iterable may be meant as either: the message says how."""
    health = Health()
    with pytest.raises(TypeError, match=r"which is also callable: pass iter\(\.\.\.\) of it to"):
        make(health, retry_on=OSError)
    assert list(failover_stream(iter(health), retry_on=OSError, on_event=health)) == ["a", "b"]


def test_the_kit_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    path = failover_iter.__path__[0] + "/testing/__init__.py"
    spec = importlib.util.spec_from_file_location("kit", path)
    assert spec is not None
    assert spec.loader is not None
    message = r"^failover_iter\.testing needs hypothesis: pip install 'failover-iter\[testing\]'$"
    with pytest.raises(ModuleNotFoundError, match=message) as caught:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert caught.value.name == "hypothesis"
