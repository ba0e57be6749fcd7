"""What one evaluation of a declaring file gathers: declarations and every fault in them, so that all show at once.

Outside an evaluation (a user's test imports the project) a fault raises where it stands.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, get_type_hints

import msgspec

from mainspring.kernel.errors import InvalidInput, MainspringError, nearest
from mainspring.kernel.misfit import misfit, mistyped


class Collection:
    """Declarations in the order in which they were written, and faults."""

    def __init__(self) -> None:
        self.declared: list[Any] = []
        self.faults: list[MainspringError] = []


_open: ContextVar[Collection | None] = ContextVar("collection", default=None)


@contextmanager
def collecting() -> Iterator[Collection]:
    """Gather what is declared inside the block."""
    collection = Collection()
    token = _open.set(collection)
    try:
        yield collection
    finally:
        _open.reset(token)


def fault(what: str, *, field: str, value: Any = None, remedy: str | None = None) -> None:
    """Note a fault, or raise it when nothing collects."""
    report(InvalidInput(what, field=field, value=value, remedy=remedy))


def is_collecting() -> bool:
    """Say whether an evaluation gathers faults."""
    return _open.get() is not None


def report(error: MainspringError) -> None:
    """Note an error, or raise it when nothing collects."""
    collection = _open.get()
    if collection is None:
        raise error
    collection.faults.append(error)


class Declaration(type):
    """The class of declared things: unknown and missing arguments are faults with the nearest right word."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        place = _place(cls.__name__, args, kwargs)
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        known = [name for name in signature.parameters if name != "self"]
        kwargs = _known_only(place, kwargs, known)
        declared = _blank(cls)
        declared.broken = False
        declared.name = args[0] if args and isinstance(args[0], str) else str(kwargs.get("name", ""))
        missing = _binding_fault(signature, place, args, kwargs)
        if missing is None:
            declared.__init__(*args, **kwargs)
        else:
            declared.broken = True
            report(missing)
        collection = _open.get()
        if collection is not None:
            collection.declared.append(declared)
        return declared


class Faulty:
    """Stands where something could not be built, so that the rest can be read; its fault is already noted."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and not kwargs and inspect.isfunction(args[0]) else self

    def __getattr__(self, name: str) -> Faulty:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


def guarded(constructor: Callable[..., Any], word: str) -> Callable[..., Any]:
    """Return a constructor whose faults are collected like those of declarations."""

    def build(*args: Any, **kwargs: Any) -> Any:
        kept = _known_only(word, kwargs, _parameters(constructor))
        faults = 0
        while True:
            try:
                built = _typed(constructor(*args, **kept), word)
                return Faulty() if faults else built
            except MainspringError as error:
                wrong = error
            except (TypeError, ValueError, AttributeError) as error:
                wrong = _mistyped(constructor, kept) or InvalidInput(str(error), field=word)
            name = (wrong.field or "").rpartition(".")[2]
            if name in kept or not faults:  # what only follows from leaving an argument out is no fault
                report(_placed(word, wrong))
            if name not in kept:
                return Faulty()
            faults += 1
            del kept[name]  # so that the other arguments are judged too

    build.__name__ = word
    build.__doc__ = constructor.__doc__
    return build


class GuardedModule:
    """A module of constructors, such as ``ms.checks``, whose faults are collected."""

    def __init__(self, module: ModuleType, word: str) -> None:
        self._module = module
        self._word = word
        self.__doc__ = module.__doc__

    def __dir__(self) -> list[str]:
        return constructors(self._module)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        known = constructors(self._module)
        if name not in known:
            package = self._module.__package__ or ""
            if f"{package}.{name}" in sys.modules:
                return sys.modules[f"{package}.{name}"]
            fault(
                f"there is no such {self._word.removesuffix('s')}",
                field=f"{self._word}.{name}",
                remedy=nearest(name, known),
            )
            return Faulty()
        return guarded(getattr(self._module, name), f"{self._word}.{name}")


def constructors(module: ModuleType) -> list[str]:
    """Return the names that a module of specs offers to users: public functions that build one of its Structs."""
    own = [thing for thing in vars(module).values() if getattr(thing, "__module__", "") == module.__name__]
    structs = {thing.__name__ for thing in own if inspect.isclass(thing)}
    functions = [thing for thing in own if inspect.isfunction(thing) and not thing.__name__.startswith("_")]
    return sorted(made.__name__ for made in functions if made.__annotations__.get("return") in structs)


def _blank(kind: Any) -> Any:
    return object.__new__(kind)


def _place(word: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    name = args[0] if args else kwargs.get("name", "")
    return f"{word}({name!r})" if isinstance(name, str) and name else word


def _placed(word: str, error: MainspringError) -> MainspringError:
    if not isinstance(error, InvalidInput):
        return error
    return InvalidInput(error.what, field=_inside(word, error.field), value=error.value, remedy=error.remedy)


def _mistyped(constructor: Callable[..., Any], given: dict[str, Any]) -> InvalidInput | None:
    """Return the fault of the first argument whose type is not the one that the constructor asks for."""
    try:
        hints = get_type_hints(constructor)
    except NameError:
        return None
    for name, value in given.items():
        try:
            msgspec.convert(msgspec.to_builtins(value), hints.get(name, Any))
        except msgspec.ValidationError as error:
            return mistyped(error, name, value, msgspec.inspect.type_info(hints[name]))
        except TypeError:
            continue  # a type that msgspec does not know
    return None


def _inside(word: str, field: str | None) -> str:
    if not field:
        return word
    own = field if not field.lower().startswith(f"{word.lower()}.") else field[len(word) + 1 :]
    return word if own.lower() == word.lower() else f"{word}.{own}"


def _parameters(constructor: Callable[..., Any]) -> list[str] | None:
    parameters = inspect.signature(constructor).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return list(parameters)


def _known_only(place: str, kwargs: dict[str, Any], known: list[str] | None) -> dict[str, Any]:
    if known is None:
        return kwargs
    for name in kwargs.keys() - set(known):
        fault("is not a known key", field=f"{place}.{name}", remedy=nearest(name, known))
    return {name: value for name, value in kwargs.items() if name in known}


def _binding_fault(
    signature: inspect.Signature, place: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> InvalidInput | None:
    required = [
        name
        for position, (name, parameter) in enumerate(signature.parameters.items())
        if name != "self" and parameter.default is parameter.empty and name not in kwargs and position > len(args)
    ]
    if required:
        return InvalidInput(f"{', '.join(required)} must be given", field=place, remedy=f"add {required[0]}=…")
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError as error:
        return InvalidInput(str(error), field=place)
    return None


def _typed(built: Any, word: str) -> Any:
    """Check the types of a Struct's fields: msgspec does so only when it decodes."""
    if not isinstance(built, msgspec.Struct):
        return built
    try:
        return msgspec.convert(msgspec.to_builtins(built), type(built))
    except msgspec.ValidationError as error:
        raise misfit(error, msgspec.structs.asdict(built), type(built)) from None
    except TypeError:
        return built  # a Struct with a field that msgspec cannot decode checks its own types
