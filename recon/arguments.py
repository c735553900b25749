"""Checks of arguments that people type: a signature is the schema of what a configuration may say.

`Annotated` types of `annotated_types` (such as `Annotated[int, Ge(0)]`) give ranges. Values are
converted only where nothing is lost: `yes`, `no`, `on` and `off` to a bool, 1e4 to an int, a number
to the text of a name. Everything else that is not of the declared type is refused.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    AllowInfNan,
    BeforeValidator,
    ConfigDict,
    PydanticSchemaGenerationError,
    PydanticUserError,
    Strict,
    TypeAdapter,
    ValidationError,
)

PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
# Seeds of torch and numpy are unsigned; 2^32 is the smaller limit of both.
Seed = Annotated[int, Ge(0), Lt(2**32)]
# More processes than any machine has cores only exhaust its memory.
Workers = Annotated[int, Ge(0), Le(1024)]
# Outputs of a layer: a square matrix of more takes over 16 GB.
Width = Annotated[int, Ge(1), Le(65536)]
LayerCount = Annotated[int, Ge(0), Le(100)]
# Of an icosahedron: 7 make 163,842 vertices, each more four times as many.
Subdivisions = Annotated[int, Ge(0), Le(7)]
# Along a side of a face, as the rasterizer allows.
Texels = Annotated[int, Ge(0), Le(64)]
ObjectCount = Annotated[int, Ge(1), Le(10**6)]
# Of one object: more would not fit into the memory that shows or compares them.
PointCount = Annotated[int, Ge(0), Le(10**7)]
BatchSize = Annotated[int, Ge(1), Le(2**20)]
# Full vertical angle of a perspective camera in degrees.
FieldOfView = Annotated[float, Gt(0), Lt(180)]
# Degrees above the horizon.
Elevation = Annotated[float, Ge(-90), Le(90)]
# Starts or cases of a fit: more would not fit into memory.
StartCount = Annotated[int, Ge(1), Le(100_000)]
# Pixels along a side: a square image of more takes over 4 GB as float32 RGBA.
ImageSide = Annotated[int, Ge(1), Le(16384)]
# Voxels along a side, as the voxeliser allows: more take over 1 GB.
VoxelSide = Annotated[int, Ge(1), Le(1024)]
# Samples along a side of a pixel: each image is as many times larger along both sides.
Supersampling = Annotated[int, Ge(1), Le(16)]
# Of one object: more views than these do not fit into memory together.
ViewCount = Annotated[int, Ge(1), Le(10_000)]
# Into which colours are sorted; each is an image of its own.
ChannelCount = Annotated[int, Ge(1), Le(1024)]
# Optimiser steps, of which there may be none.
Steps = NonNegativeInt
# What follows bounds numbers that have no bound of their own far beyond all that has a meaning, and
# far below what overflows in float32.
# Object units or pixels.
Coordinate = Annotated[float, Ge(-1e6), Le(1e6)]
Length = Annotated[float, Gt(0), Le(1e6)]
Degrees = Annotated[float, Ge(-3600), Le(3600)]
# Softness of edges, squared NDC units: an image spans 4 of them.
Sigma = Annotated[float, Gt(0), Le(100)]
# Softness of depth, in its range or in object units.
Gamma = Annotated[float, Gt(0), Le(1000)]
LearningRate = Annotated[float, Gt(0), Le(1000)]
# How much of an average of gradients stays from one step to the next.
Momentum = Annotated[float, Ge(0), Lt(1)]
# Of a term of the loss; beyond it squares of gradients overflow.
Weight = Annotated[float, Ge(0), Le(1e25)]
Factor = Annotated[float, Ge(-1e6), Le(1e6)]
PositiveFactor = Annotated[float, Gt(0), Le(1e6)]
# Of light.
Intensity = Annotated[float, Ge(0), Le(1000)]
# Of an animation or of a measurement: a day at most.
Seconds = Annotated[float, Gt(0), Le(86400)]
ThreadCount = Annotated[int, Ge(1), Le(1024)]
FaceCount = Annotated[int, Ge(1), Le(10**7)]
# Of a file.
Gigabytes = Annotated[float, Gt(0), Le(1000)]
# Between two rotations, degrees.
Angle = Annotated[float, Ge(0), Le(180)]
# Between two colours in RGB, which are at most the square root of 3 apart.
ColorDistance = Annotated[float, Gt(0), Le(2)]

_WORDS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


def check_arguments(
    target: Callable[..., Any], arguments: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, Any]:
    """Checks arguments of a function or a class against its annotations.

    Args:
        target: A function or a class; what it does not annotate is not checked.
        arguments: Values by the names of arguments; not all need to be given.
        names: What the messages call an argument, where that is not its own name.

    Returns:
        The values as the annotations want them.

    Raises:
        ValueError: An argument is unknown or its value is not of the declared type and range; the
            message names the argument, what is required, and what came.
    """
    hints = argument_hints(target)
    _require_known(target, arguments, names)
    return {
        name: check_value(value, hints[name], names.get(name, name)) if name in hints else value
        for name, value in arguments.items()
    }


def check_value(value: object, hint: object, name: str) -> Any:
    """Checks one value against a type.

    Args:
        value: What was typed.
        hint: A type as annotations have it.
        name: What the message calls the value.

    Returns:
        The value as the type wants it.

    Raises:
        ValueError: It is not of that type and range.
    """
    if isinstance(value, Mapping) and (inner := _mapped(hint)) is not None:
        if not value and type(None) in get_args(hint):
            raise ValueError(f"{name} must have at least one entry or be null, got {{}}")
        return {key: check_value(one, inner, f"{name}.{key}") for key, one in value.items()}
    adapter = _adapter(hint)
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{name} must be {required(hint)}, got {_shown(value)}") from error


@functools.cache
def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    """Returns what checks a type; None for one which cannot be checked at run time."""
    try:
        return TypeAdapter(_checked(hint), config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError):
        return None


def _mapped(hint: object) -> object | None:
    """Returns the type of the values of a mapping, where a type is that of one mapping."""
    found = [one for one in (hint, *get_args(hint)) if _is_mapping(one)]
    return get_args(found[0])[-1] if len(found) == 1 else None


def _is_mapping(hint: object) -> bool:
    origin = get_origin(hint)
    return inspect.isclass(origin) and issubclass(origin, Mapping)


def option_type(hint: object) -> Callable[[str], Any]:
    """Returns what `argparse` calls to read a number of an option.

    Args:
        hint: A number with its range, as annotations have it.

    Returns:
        A function of a text, which raises `argparse.ArgumentTypeError` with what is required.
    """

    def read(text: str) -> Any:
        try:
            number: object = float(text)
        except ValueError:
            number = text
        try:
            return check_value(number, hint, "it")
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {required(hint)}, got {text!r}") from None

    return read


def argument_hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Returns the types of the arguments of a function or class which can be resolved."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}  # names that are only known to a type checker


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `; did you mean X?` for the known name most like the given one, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def required(hint: object) -> str:
    """Returns a type in words, for the message of an error."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return required(arguments[0]) + _range(arguments[1:])
    if origin in (Union, types.UnionType):
        # An object cannot be typed where a plain value is taken as well.
        plain = [one for one in arguments if one in _PLAIN or get_origin(one) is not None]
        typed = plain if len(set(plain) - {type(None)}) else arguments
        return " or ".join(dict.fromkeys(map(required, typed)))
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin is not None and inspect.isclass(origin):
        return _collection(origin, arguments)
    return _PLAIN.get(hint) or _class_in_words(hint)


_PLAIN: dict[object, str] = {
    int: "a whole number",
    float: "a finite number",
    Path: "a path",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


def _class_in_words(hint: object) -> str:
    return f"a mapping with the _target_ of a {getattr(hint, '__name__', str(hint))}"


def _collection(origin: type, arguments: tuple[Any, ...]) -> str:
    if issubclass(origin, Mapping):
        return f"a mapping to {required(arguments[-1])}" if arguments else "a mapping"
    if issubclass(origin, tuple) and arguments and arguments[-1] is not Ellipsis:
        each = list(dict.fromkeys(map(required, arguments)))
        return f"a list of {len(arguments)}, each {' or '.join(each)}"
    if issubclass(origin, Iterable) and arguments:
        return f"a list, each {required(arguments[0])}"
    return _class_in_words(origin)


def _range(limits: tuple[Any, ...]) -> str:
    signs = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}
    parts = [
        f"{signs[type(limit)][0]} {_number(getattr(limit, signs[type(limit)][1]))}"
        for limit in limits
        if type(limit) in signs
    ]
    return " " + " and ".join(parts) if parts else ""


def _number(limit: float) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)


def _checked(hint: Any) -> Any:
    """Returns a type whose leaves convert and refuse as this module says."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _LEAVES:
        return _LEAVES[hint]
    if origin is Annotated:
        return Annotated.__class_getitem__((_checked(arguments[0]), *arguments[1:]))
    if origin is Literal or origin is None or not arguments or origin is Callable:
        return hint
    if inspect.isclass(origin) and issubclass(origin, Callable):  # type: ignore[arg-type]
        return hint
    inner = tuple(one if one is Ellipsis else _checked(one) for one in arguments)
    if origin in (Union, types.UnionType):
        return Union[inner]  # noqa: UP007 - a union which is made of a tuple
    return origin[inner]


def _word(value: object) -> object:
    return _WORDS.get(value.lower(), value) if isinstance(value, str) else value


def _whole(value: object) -> object:
    whole = isinstance(value, float) and math.isfinite(value) and value == int(value)
    return int(value) if whole else value  # type: ignore[call-overload]


def _text(value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if number and math.isfinite(value) else value  # type: ignore[arg-type]


_LEAVES: dict[Any, Any] = {
    bool: Annotated[bool, Strict(), BeforeValidator(_word)],
    # What torch and numpy can hold.
    int: Annotated[int, Strict(), BeforeValidator(_whole), Ge(-(2**63)), Lt(2**63)],
    float: Annotated[float, Strict(), AllowInfNan(False)],
    str: Annotated[str, Strict(), BeforeValidator(_text)],
}


def _require_known(
    target: Callable[..., Any], arguments: Mapping[str, Any], names: Mapping[str, str]
) -> None:
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return  # a built-in without a signature
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    for name in arguments:
        if name not in parameters:
            raise ValueError(
                f"{names.get(name, name)} is unknown: {getattr(target, '__name__', target)} takes "
                f"{', '.join(parameters)}{nearest(name, parameters)}"
            )
