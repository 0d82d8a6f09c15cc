"""What a shape comment becomes when it is run: a comparison of the real shape with the one it states.

This file needs nothing but Python: notebooks run its text in their own kernel, before their first cell.
`shape_comments.py` says what a comment may look like and puts the calls in.
"""

import re
from fractions import Fraction
from functools import cache
from types import CodeType
from typing import Any, get_args

Shape = tuple[str, ...]
Names = dict[str, Any]

LETTERS = "BTCHDFVN"
# What each name may mean where the caller knows: with this filled in, no name can mean anything else.
shape_sizes: dict[str, set[int]] = {}
# Each check that held, and those wrong versions of its comment that would have held too each time.
shape_survivors: dict[str, set[tuple[Shape, ...]]] = {}


def shape_error_text(shapes: tuple[Shape, ...]) -> str:
    """(B, T), (B, T, V): the comment again, as it was written."""
    return ", ".join(f"({', '.join(shape)}{',' * (len(shape) == 1)})" for shape in shapes)


def bind_signature(annotations: dict[str, str], arguments: dict[str, Any], names: dict[str, Any]) -> dict:
    """Letter → size, from the jaxtyping annotations of a function's arguments: their first use."""
    bound: dict[str, int] = {}
    for argument, source in annotations.items():
        value = arguments[argument]
        if not hasattr(value, "shape"):
            continue
        try:
            annotation = eval(source, names)
        except (NameError, AttributeError, TypeError):  # imported for the type checker only
            continue
        for kind in (annotation, *get_args(annotation)):
            if hasattr(kind, "dim_str"):
                _bind_axes(kind.dim_str.split(), tuple(value.shape), bound)
    return bound


def _bind_axes(axes: list[str], shape: tuple[int, ...], bound: dict[str, int]) -> None:
    """`*batch T C` and (2, 3, 4, 5): T is 4 and C is 5; the axes before a star are counted from the left."""
    star = next((i for i, axis in enumerate(axes) if axis.startswith(("*", "..."))), None)
    if star is not None:
        last = len(axes) - star - 1
        axes, shape = axes[:star] + axes[star + 1 :], shape[:star] + shape[len(shape) - last :]
    for axis, size in zip(axes, shape, strict=False):
        if axis.isidentifier() and axis != "_":
            bound.setdefault(axis, size)


@cache
def formula(dimension: str) -> tuple[CodeType, tuple[str, ...]]:
    """`2 kv_width` → the code of `2*kv_width`, and the names in it."""
    product = re.sub(r"(?<![\w.])(\d+)\s*(?=[A-Za-z_])", r"\1*", dimension).replace("·", "*")
    names = sorted(set(re.findall(r"[A-Za-z_]\w*", product)))
    return compile(product.strip(), dimension, "eval"), tuple(names)


def _fits(dimension: str, actual: int, bound: dict[str, int], own: Names, everything: Names) -> bool:
    """Whether an axis of this size may be called `dimension`; a letter that means nothing yet is bound."""
    if dimension.isdecimal():
        return int(dimension) == actual
    if dimension.isidentifier():
        known = _meaning(dimension, bound, own)
        if known is None and _allowed(dimension, actual):
            bound[dimension] = known = actual
        return known == actual
    code, names = formula(dimension)
    meanings = {name: _meaning(name, bound, own, everything) for name in names}
    unknown = [name for name, meaning in meanings.items() if meaning is None]
    values = {name: Fraction(meaning) for name, meaning in meanings.items() if meaning is not None}

    def size(**more: Fraction) -> Fraction:
        return Fraction(eval(code, {"__builtins__": {}}, values | more))

    if not unknown:
        return size() == actual
    if len(unknown) > 1:
        return False
    name = unknown[0]
    at_zero, slope = size(**{name: Fraction(0)}), size(**{name: Fraction(1)}) - size(**{name: Fraction(0)})
    value = (actual - at_zero) / slope if slope else Fraction(-1)
    if value.denominator != 1 or value < 0 or not _allowed(name, int(value)):
        return False
    bound[name] = int(value)
    return True


def _meaning(name: str, bound: dict[str, int], own: Names, everything: Names | None = None) -> int | None:
    """The number that a name stands for, if it stands for one already."""
    for number in (own.get(name), bound.get(name), everything.get(name) if everything else None):
        if type(number) is int:
            return number
    return None


def _allowed(name: str, size: int) -> bool:
    return not shape_sizes or size in shape_sizes.get(name, ())


def _holds(
    stated: Shape, shape: tuple[int, ...], bound: dict[str, int], own: Names, everything: Names
) -> bool:
    """Whether the shape is the stated one. Binds letters as it goes, also where it fails in the end."""
    if stated and stated[0] in ("...", "…"):
        stated = stated[1:]
        shape = shape[len(shape) - len(stated) :] if len(shape) >= len(stated) else ()
    axes = zip(stated, shape, strict=False)
    return len(stated) == len(shape) and all(_fits(d, n, bound, own, everything) for d, n in axes)


def _wrong_versions(shapes: tuple[Shape, ...]) -> set[tuple[Shape, ...]]:
    """The comment with one letter replaced, two axes exchanged, or one axis left out."""
    wrong = set()
    for i, shape in enumerate(shapes):
        others: set[Shape] = set()
        for j, dimension in enumerate(shape):
            for old in re.findall(r"\b[A-Z]\b|(?<=\d)[A-Z]\b", dimension):
                others |= {(*shape[:j], dimension.replace(old, new), *shape[j + 1 :]) for new in LETTERS}
            if shape[0] not in ("...", "…"):
                others.add((*shape[:j], *shape[j + 1 :]))
                others |= {_exchanged(shape, j, k) for k in range(j)}
        wrong |= {(*shapes[:i], other, *shapes[i + 1 :]) for other in others - {shape}}
    return wrong


def _exchanged(shape: Shape, j: int, k: int) -> Shape:
    axes = list(shape)
    axes[j], axes[k] = axes[k], axes[j]
    return tuple(axes)


def check_shape(
    value: Any,
    shapes: tuple[Shape, ...],
    each: bool,
    several: bool,
    where: str,
    bound: dict[str, int],
    own: Names,
    everything: Names,
) -> Any:
    """`value` as it was; an AssertionError if its shape is not the one that the comment states.

    Args:
        shapes: the shapes stated, each a tuple of dimensions such as `4C`.
        each: whether every one of several values has the one stated shape.
        several: whether `value` is several values, stated in order; later ones may be left unsaid.
        where: file and line, for the message.
        bound: what the letters mean so far in this call; grows.
        own: the names that the function or cell set itself; whole numbers among them count.
        everything: the names outside; whole numbers among them count inside formulas such as `4C`.
    """
    values = list(value) if several or each or len(shapes) > 1 else [value]
    seen = [
        tuple(v.shape) if hasattr(v, "shape") else (len(v),) for v in values[: None if each else len(shapes)]
    ]

    def hold(shapes: tuple[Shape, ...], bound: dict[str, int]) -> bool:
        said = shapes * len(seen) if each else shapes
        pairs = list(zip(said, seen, strict=False))
        return len(said) == len(seen) and all(_holds(s, n, bound, own, everything) for s, n in pairs)

    if shape_sizes:
        left = shape_survivors.get(where, _wrong_versions(shapes))
        shape_survivors[where] = {wrong for wrong in left if hold(wrong, dict(bound))}
    if not hold(shapes, bound):
        text = shape_error_text(shapes)
        real = ", ".join(map(str, seen))
        names = sorted(set(re.findall(r"[A-Za-z_]\w*", text)))
        meanings = {name: _meaning(name, bound, own) for name in names}
        known = {name: number for name, number in meanings.items() if number is not None}
        meaning = ", ".join(f"{name}={number}" for name, number in known.items()) or "none is known"
        unknown = [name for name in names if name not in known and shape_sizes]
        allowed = "".join(f"; {n} may be {sorted(shape_sizes.get(n, ())) or 'nothing here'}" for n in unknown)
        said = text + " each" * each
        raise AssertionError(
            f"{where}: the comment says {said}, the shape is {real}; letters: {meaning}{allowed}"
        )
    return value
