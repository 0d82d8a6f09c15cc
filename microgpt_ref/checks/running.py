"""Run a learner's function so that neither an error nor an endless loop in it stops the notebook."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import io
import linecache
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

PRINTED = 400  # characters of what the function printed that a report repeats


class OutOfTime(BaseException):
    """Raised inside a function that ran too long; no `except Exception` of a learner catches it."""


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a value or an exception, the text it printed, the arguments as it left them."""

    value: Any = None
    error: BaseException | None = None
    printed: str = ""
    arguments: tuple[Any, ...] = ()
    seconds: float = 0.0


def run(function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Outcome:
    """Call `function(*arguments)` on copies of the arguments, for at most so many seconds."""
    arguments, text, value, error = copy.deepcopy(arguments), io.StringIO(), None, None
    start = time.perf_counter()
    try:
        with time_limit(seconds), contextlib.redirect_stdout(text), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with np.errstate(all="ignore"):
                value = function(*arguments)
    except (Exception, OutOfTime, SystemExit, GeneratorExit) as caught:
        error = caught
    return Outcome(value, error, text.getvalue()[:PRINTED], arguments, time.perf_counter() - start)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the block after so many seconds, and again, should a bare `except` swallow it."""
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        with _alarm(max(seconds, 0.01)):
            yield
    else:
        with _watch(max(seconds, 0.01)):
            yield


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(_: int, frame: FrameType | None) -> None:
        if not _importing(frame):
            raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _watch(seconds: float) -> Iterator[None]:
    """The same without signals (Windows, other threads): Python raises at the thread's next instruction."""
    thread, done = threading.get_ident(), threading.Event()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            wait = 0.2
            if _importing(sys._current_frames().get(thread)):
                continue
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(OutOfTime))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: stopped half way, torch or jax would be broken until a restart."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


MEANINGS = {
    "NameError": "a name has no value. Is it spelled right? Was the cell run that makes it?",
    "UnboundLocalError": "a name is read before it is set in the function.",
    "IndexError": "a place was asked for that does not exist. Think of the smallest case, with one position.",
    "KeyError": "the dictionary has no such key.",
    "ZeroDivisionError": "a division by zero. Think of the smallest case.",
    "RecursionError": "the function calls itself without end.",
    "AttributeError": "this kind of object has no such attribute. Was it None, or of another framework?",
    "ModuleNotFoundError": "a package is imported that is not installed here.",
    "MemoryError": "more memory was asked for than there is. Is an axis far too long?",
}


def explain(error: BaseException, answer: Callable[..., Any]) -> str:
    """An exception in a learner's words: what was raised, in which of the learner's lines, what it means."""
    name, text = type(error).__name__, " ".join(str(error).split())[:300]
    lines = [f"your function stops with {name}{': ' + text if text else ''}"]
    code = getattr(answer, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    if own:
        line = (own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno or 0)).strip()
        lines.append(f"  in its line: {line}")
    if isinstance(error, SystemExit):
        lines.append("  A function that is checked must return; it must not end the program.")
    elif meaning := _meaning(error, text, getattr(answer, "__name__", "")):
        lines.append(f"  That means: {meaning}")
    return "\n".join(lines)


def _meaning(error: BaseException, text: str, name: str) -> str | None:
    if "broadcast" in text or "mismatch" in text or "not aligned" in text or "must match" in text:
        return "two shapes do not fit together. Print both, and say which axis is which."
    if "too many indices" in text:
        return "an array is asked for a place with more indices than it has axes. Print its shape."
    if "inhomogeneous" in text:
        return "the parts of an array have unlike shapes. Is one of them two results, as in `a, b = f(…)`?"
    if "'tuple'" in text:
        return "several results, a tuple, stand where one is needed. Give each a name: `a, b = f(…)`."
    if "'str' object" in text:
        return "a string stands there. Does the line take a dictionary apart? That gives its keys."
    if isinstance(error, TypeError) and "argument" in text and name not in text:
        return "a function is called in this line with other arguments than it takes."
    if isinstance(error, TypeError) and "argument" in text:
        return "the function takes other arguments than it is given. Compare with the stub's first line."
    if isinstance(error, ValueError) and "ambiguous" in text:
        return "an array stands where one True or False is needed, as in `if array:`."
    for kind in type(error).__mro__:
        if kind.__name__ in MEANINGS:
            return MEANINGS[kind.__name__]
    return None
