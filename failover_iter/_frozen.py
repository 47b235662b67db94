"""Frozen records, as `dataclasses` makes them, but without the half of the import that it takes.

A subclass annotates its fields as a dataclass does, and writes out its `__init__`, which takes each
of them by name and sets it with `put`. What the module `dataclasses` offers for its own works too:
`replace`, `fields`, `asdict`, a dataclass as a subclass.
"""

from __future__ import annotations

from functools import cache
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from dataclasses import Field, FrozenInstanceError

_R = TypeVar("_R", bound="Frozen")

#: Sets a field in an `__init__`: put(self, name, value).
put: Final = object.__setattr__


def changed(record: _R, /, **changes: Any) -> _R:
    """A copy with other values for some fields, checked as if it were new."""
    return type(record)(**{**record.__getstate__(), **changes})


class _OfDataclass:
    """What `dataclasses` looks for in a class: made when it does."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        return getattr(_as_dataclass(owner), self._name)


@dataclass_transform(frozen_default=True)
class Frozen:
    """Equal, hashed and shown by its fields, which cannot be set again."""

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    else:
        __dataclass_fields__ = _OfDataclass()
        __dataclass_params__ = _OfDataclass()

        # Type checkers know that fields are read-only; of these they would think the contrary.

        def __setattr__(self, name: str, value: object) -> None:
            raise _frozen_error(f"cannot assign to field {name!r}")

        def __delattr__(self, name: str) -> None:
            raise _frozen_error(f"cannot delete field {name!r}")

    def __init_subclass__(cls) -> None:
        """Take the annotations for fields; keyword-only are those behind `_`."""
        super().__init_subclass__()
        own = [name for name, kind in cls.__annotations__.items() if "ClassVar" not in str(kind)]
        positional = own[: own.index("_")] if "_" in own else own
        cls.__match_args__ = (*cls.__match_args__, *positional)  # type: ignore[misc]  # of the class
        cls._fields = tuple(name for name in dict.fromkeys((*cls._fields, *own)) if name != "_")

    def __post_init__(self) -> None:
        """Check and set as ever, where the `__init__` of a subclass was made by `dataclasses`."""
        base: Any = next(
            cls for cls in type(self).__mro__ if "__dataclass_fields__" not in vars(cls)
        )
        base.__init__(self, **{name: getattr(self, name) for name in base._fields})

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._fields}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # copied, it is checked as if it were new

    __replace__ = changed  # for copy.replace, since Python 3.13

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        return hash(tuple(self.__getstate__().values()))

    @recursive_repr()
    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__getstate__().items())
        return f"{type(self).__qualname__}({fields})"


def _frozen_error(message: str) -> FrozenInstanceError:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(message)


@cache
def _as_dataclass(cls: type) -> Any:
    """A dataclass with the same fields."""
    from dataclasses import MISSING, field, make_dataclass
    from inspect import signature

    fields: list[Any] = []
    for each in signature(cls).parameters.values():
        default = MISSING if each.default is each.empty else each.default
        options = field(default=default, kw_only=each.kind is each.KEYWORD_ONLY)
        fields.append((each.name, each.annotation, options))
    return make_dataclass(cls.__name__, fields, frozen=True)
