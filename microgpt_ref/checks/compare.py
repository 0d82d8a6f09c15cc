"""Is an answer what was wanted? If not: one sentence that says where they part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SMALLEST_SCALE = 1e-3  # answers that should be zero may miss it by the tolerance times this


@dataclass(frozen=True)
class Difference:
    """The kind ("type", "shape", "dtype", "not_finite", "value") and a sentence for the learner."""

    kind: str
    text: str


def plain(value: Any) -> Any:
    """Tensors of torch and arrays of jax as NumPy's, also inside lists, tuples, dicts; the rest as it is."""
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return value.double().numpy() if value.dtype.is_floating_point else value.numpy()
    if type(value).__module__.split(".")[0] in ("jax", "jaxlib"):
        return np.asarray(value)
    return value


def difference(got: Any, wanted: Any, tolerance: float, name: str = "your answer") -> Difference | None:
    """How `got` differs from `wanted`, or None. Numbers may differ by tolerance × the largest wanted."""
    got, wanted = plain(got), plain(wanted)
    if isinstance(wanted, dict):
        return _dicts(got, wanted, tolerance, name)
    if isinstance(wanted, list | tuple):
        return _sequences(got, wanted, tolerance, name)
    if isinstance(wanted, np.ndarray) and wanted.ndim:
        return _arrays(got, wanted, tolerance, name)
    if isinstance(wanted, bool | int | float | np.generic | np.ndarray):
        return _numbers(got, wanted, tolerance, name)
    if type(got) is not type(wanted):
        return Difference("type", f"{name} is {_a(got)}; it should be {_a(wanted)}")
    return (
        None if got == wanted else Difference("value", f"{name} is {show(got)}; it should be {show(wanted)}")
    )


def _dicts(got: Any, wanted: dict[Any, Any], tolerance: float, name: str) -> Difference | None:
    if not isinstance(got, dict):
        return Difference("type", f"{name} is {_a(got)}; it should be a dict")
    if got.keys() != wanted.keys():
        lacks, extra = (
            sorted(map(str, wanted.keys() - got.keys())),
            sorted(map(str, got.keys() - wanted.keys())),
        )
        parts = [f"lacks the keys {lacks[:4]}"] * bool(lacks) + [f"has keys too many: {extra[:4]}"] * bool(
            extra
        )
        return Difference("value", f"{name} {' and '.join(parts)}")
    pairs = ((f"{name}[{key!r}]", got[key], wanted[key]) for key in wanted)
    return next((d for n, g, w in pairs if (d := difference(g, w, tolerance, n))), None)


def _sequences(
    got: Any, wanted: list[Any] | tuple[Any, ...], tolerance: float, name: str
) -> Difference | None:
    if not isinstance(got, list | tuple):
        return Difference("type", f"{name} is {_a(got)}; it should be {_a(wanted)}")
    if len(got) != len(wanted):
        return Difference("shape", f"{name} has {len(got)} entries; it should have {len(wanted)}")
    pairs = ((f"entry {i} of {name}", g, w) for i, (g, w) in enumerate(zip(got, wanted, strict=True)))
    return next((d for n, g, w in pairs if (d := difference(g, w, tolerance, n))), None)


def _arrays(got: Any, wanted: np.ndarray, tolerance: float, name: str) -> Difference | None:
    if not isinstance(got, np.ndarray):
        return Difference("type", f"{name} is {_a(got)}; it should be an array of shape {wanted.shape}")
    if got.shape != wanted.shape:
        return Difference("shape", f"{name} has the shape {got.shape}; it should be {wanted.shape}")
    if _kind(got) != _kind(wanted) and (_kind(got), _kind(wanted)) != ("whole numbers", "numbers"):
        return Difference("dtype", f"{name} holds {_kind(got)} ({got.dtype}); it should hold {_kind(wanted)}")
    if wanted.dtype.kind not in "fciub":
        bad = got != wanted
        return _first(bad, got, wanted, name) if np.any(bad) else None
    if found := _not_finite(got, wanted, name):
        return found
    bad = ~_close(got, wanted, tolerance)
    return _first(bad, got, wanted, name) if np.any(bad) else None


def _numbers(got: Any, wanted: Any, tolerance: float, name: str) -> Difference | None:
    if isinstance(got, np.ndarray) and got.size == 1 and got.ndim == 0:
        got = got[()]
    one = {"truth values": "True or False", "whole numbers": "a whole number"}.get(_kind(wanted), "a number")
    if not isinstance(got, bool | int | float | np.generic):
        return Difference("type", f"{name} is {_a(got)}; it should be {one}")
    if _kind(got) != _kind(wanted) and (_kind(wanted) != "numbers" or _kind(got) == "truth values"):
        return Difference("dtype", f"{name} is {show(got)}, {_a(got)}; it should be {one}")
    a, b = np.asarray(got)[None], np.asarray(wanted)[None]
    if found := _not_finite(a, b, name):
        return found
    if np.all(_close(a, b, tolerance)):
        return None
    return Difference("value", f"{name} is {_apart(got, wanted)}")


def _kind(value: Any) -> str:
    kinds = {
        "b": "truth values",
        "i": "whole numbers",
        "u": "whole numbers",
        "f": "numbers",
        "c": "complex numbers",
    }
    return kinds.get(np.asarray(value).dtype.kind, "objects")


def _close(got: np.ndarray, wanted: np.ndarray, tolerance: float) -> np.ndarray:
    if wanted.dtype.kind in "iub":
        return got == wanted
    finite = np.isfinite(wanted)
    scale = max(float(np.abs(wanted[finite]).max(initial=0.0)), SMALLEST_SCALE)
    with np.errstate(all="ignore"):
        near = np.abs(got - wanted) <= tolerance * scale
    return np.where(finite, near, (got == wanted) | (np.isnan(got) & np.isnan(wanted)))


def _not_finite(got: np.ndarray, wanted: np.ndarray, name: str) -> Difference | None:
    if got.dtype.kind not in "fc":
        return None
    bad = ~np.isfinite(got) & np.isfinite(wanted)
    if not bad.any():
        return None
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    where = "" if got.shape == (1,) else f" at {place}"
    return Difference("not_finite", f"{name} is {got[place]}{where}, where a finite number should stand")


def _first(bad: np.ndarray, got: np.ndarray, wanted: np.ndarray, name: str) -> Difference:
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    at = place[0] if len(place) == 1 else place
    return Difference("value", f"{name} is {_apart(got[place], wanted[place], f' at {at}')}")


def _apart(got: Any, wanted: Any, at: str = "") -> str:
    """Two numbers that differ, with as many digits as it takes to see that."""
    texts = show(got), show(wanted)
    for digits in (7, 10, 17):
        if texts[0] != texts[1] or not isinstance(wanted, float | np.floating):
            break
        texts = f"{float(got):.{digits}g}", f"{float(wanted):.{digits}g}"
    return f"{texts[0]}{at}; it should be {texts[1]}"


def _a(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    name = "None" if value is None else type(value).__name__
    return name if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def show(value: Any, longest: int = 200) -> str:
    """A value for a learner's eyes: four digits, small arrays whole, large ones by their shape."""
    value = plain(value)
    if isinstance(value, np.ndarray) and value.size > 24:
        return f"an array of shape {value.shape}"
    if isinstance(value, np.ndarray):
        text = np.array2string(value, precision=3, suppress_small=True, separator=", ", max_line_width=120)
        return text if value.ndim == 2 else " ".join(text.split())
    if isinstance(value, float | np.floating):
        return f"{float(value):.4g}"
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, list | tuple) and any(isinstance(plain(item), np.ndarray | float) for item in value):
        opening, closing = "[]" if isinstance(value, list) else "()"
        text = opening + ", ".join(show(item, longest) for item in value) + closing
    else:
        text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
