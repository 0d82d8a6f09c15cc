"""What the exercises of chapter 7 call: the whole GPT."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise
from microgpt_ref.config import GPTConfig
from microgpt_ref.numpy.attention import attention_layer, attention_layer_backward
from microgpt_ref.numpy.check import numerical_gradient
from microgpt_ref.numpy.ffn import ffn, ffn_backward
from microgpt_ref.numpy.norm import rms_norm, rms_norm_backward
from microgpt_ref.parameters import parameter_shapes, part
from microgpt_ref.presets import preset

Array = NDArray[np.float64]
Parameters = dict[str, Array]

# 1. Break the tie

E, HEAD = "embedding.weight", "head.weight"


@exercise("07.untie")
def untie() -> Exercise:
    def and_compare(answer: Callable[[Parameters], Any], parameters: Parameters) -> Any:
        """What was returned, and whether a step of one matrix would move the other."""
        free = answer(parameters)
        if not isinstance(free, dict):
            return free
        both = all(isinstance(free.get(name), np.ndarray) for name in (E, HEAD))
        return free | {"one array under both names": both and np.shares_memory(free[E], free[HEAD])}

    def case(name: str, V: int, C: int, *others: str) -> Case:
        return Case(
            name,
            lambda g: ({E: g.normal(size=(V, C))} | {other: g.normal(size=(C, C)) for other in others},),
        )

    attention, down = "blocks.0.attention.out.weight", "blocks.0.ffn.down.weight"
    return Exercise(
        reference=lambda p: {**p, HEAD: np.array(p[E].tolist())},
        drive=and_compare,
        cases=(
            case("V = 1", 1, 2),
            case("V = 3", 3, 2),
            case("a model with a block", 5, 4, attention, down),
            case("V = C", 4, 4, attention),
        ),
        mistakes={
            "one_array": Mistake(
                "both names still mean one array: a step of one moves the other; a second name is no copy",
                lambda p: p | {HEAD: p[E]},
            ),
            "transposed": Mistake(
                "your head is transposed; it has a row for each of the V characters, like the embedding",
                lambda p: p | {HEAD: p[E].T.copy()},
            ),
            "zeros": Mistake(
                "your head starts at zero, so the first logits change; it should start as the embedding",
                lambda p: p | {HEAD: np.zeros_like(p[E])},
            ),
            "moved": Mistake(
                "the embedding is gone: it is needed to look up the characters",
                lambda p: {n: a.copy() for n, a in p.items() if n != E} | {HEAD: p[E].copy()},
            ),
            "two_only": Mistake(
                "the other parameters are gone: return them all",
                lambda p: {E: p[E], HEAD: p[E].copy()},
            ),
            "head_only": Mistake(
                "you return the head alone; the other parameters belong there too",
                lambda p: {HEAD: p[E].copy()},
            ),
            "array": Mistake(
                "you return the head's matrix; the dictionary with all parameters is asked for",
                lambda p: p[E].copy(),
            ),
            "name": Mistake(
                'the new matrix should be called "head.weight"', lambda p: p | {"head": p[E].copy()}
            ),
        },
    )


# 2. Count a GPT


@exercise("07.count_gpt2")
def count_gpt2(factor: int = 4) -> Exercise:
    def by_names(V: int, T: int, C: int, N: int) -> int:
        config = GPTConfig(V, T, C, N, n_head=1, d_ff=factor * C)
        return sum(math.prod(shape) for shape in parameter_shapes(config).values())

    def more(extra: Callable[[int, int, int, int], int]) -> Callable[..., int]:
        return lambda V, T, C, N: by_names(V, T, C, N) + extra(V, T, C, N)

    def some(g: np.random.Generator) -> tuple[int, ...]:
        return tuple(int(n) for n in g.integers(2, 99, size=4))

    four = {
        "always_four": Mistake(
            "you count with F = 4C; here another factor is asked for",
            more(lambda V, T, C, N: N * (4 - factor) * (2 * C * C + C)),
        )
    }
    no_ffn_biases = {  # with F = 3C they are as many as those of attention
        "no_ffn_biases": Mistake(
            "the biases of the FFN are missing", more(lambda V, T, C, N: -N * (factor + 1) * C)
        )
    }
    return Exercise(
        reference=by_names,
        cases=(
            Case("C = 1, N = 1", lambda g: (int(g.integers(20, 40)), int(g.integers(5, 9)), 1, 1)),
            Case("N = 1", lambda g: (*some(g)[:3], 1)),
            Case("sizes of all kinds", some),
            Case("C = V", lambda g: (32, int(g.integers(2, 9)), 32, int(g.integers(2, 9)))),
            Case("the depth of GPT-2 XL", lambda g: (50_257, 1024, 1600, int(g.integers(40, 50)))),
        ),
        mistakes={
            **({} if factor == 4 else four),
            "table_of_tejas": Mistake(
                "this is the table of tejas-10m; GPT-2 has no head of its own, and its biases are others",
                more(lambda V, T, C, N: V * C + V - 3 * N * C),
            ),
            "biases_of_tejas": Mistake(
                "these are the biases of tejas-10m; GPT-2 has none at the head, and some for q, k and v",
                more(lambda V, T, C, N: V - 3 * N * C),
            ),
            "head_twice": Mistake(
                "the head is the embedding: count the matrix once", more(lambda V, T, C, N: V * C)
            ),
            "no_positions": Mistake("the learned positions are missing", more(lambda V, T, C, N: -T * C)),
            "no_last_norm": Mistake("the norm before the head is missing", more(lambda V, T, C, N: -2 * C)),
            "no_biases": Mistake(
                "the biases of the linear layers are missing",
                more(lambda V, T, C, N: -N * (5 + factor) * C),
            ),
            "no_qkv_bias": Mistake(
                "the biases of q, k and v are missing; tejas-10m has none there, GPT-2 has them",
                more(lambda V, T, C, N: -3 * N * C),
            ),
            "no_attention_biases": Mistake(
                "the biases of attention"
                + (", or of the FFN, are missing" if factor == 3 else " are missing"),
                more(lambda V, T, C, N: -4 * N * C),
            ),
            **({} if factor == 3 else no_ffn_biases),
            "no_shift": Mistake(
                "a LayerNorm has 2C numbers: a scale and a shift", more(lambda V, T, C, N: -(2 * N + 1) * C)
            ),
            "no_norms": Mistake("the norms are missing", more(lambda V, T, C, N: -(2 * N + 1) * 2 * C)),
            "weights_only": Mistake(
                "biases and norms are missing: you count the matrices alone",
                more(lambda V, T, C, N: -N * (5 + factor) * C - (2 * N + 1) * 2 * C),
            ),
            "one_norm": Mistake(
                "2C numbers a block are missing: those of a second norm, or the biases of two of q, k and v",
                more(lambda V, T, C, N: -2 * N * C),
            ),
            "one_square": Mistake(
                "q, k and v are three matrices; you count one",
                more(lambda V, T, C, N: -2 * N * (C * C + C)),
            ),
            "no_out": Mistake(
                "attention's output matrix and its bias are missing",
                more(lambda V, T, C, N: -N * (C * C + C)),
            ),
            "one_ffn_layer": Mistake(
                "the FFN has two linear layers, from C to F and back",
                more(lambda V, T, C, N: -N * (factor * C * C + C)),
            ),
            "bias_of_F": Mistake(
                "the second bias of the FFN is added to C numbers, not to F",
                more(lambda V, T, C, N: N * (factor - 1) * C),
            ),
            "one_block": Mistake(
                "you count one block; there are N",
                lambda V, T, C, N: by_names(V, T, C, 1),
            ),
            "head_bias": Mistake("GPT-2's head has no bias", more(lambda V, T, C, N: V)),
        },
    )


# 3. How large will the stream be?


@exercise("07.stream_size")
def stream_size() -> Exercise:
    def by_running(start: float, std: float, C: int, N: int, scaled: bool) -> float:
        g = np.random.default_rng()
        x = g.normal(0, start, size=(96, C)).astype(np.float32)
        for _ in range(2 * N):  # two writes a block, each a matrix that reads the normed stream
            matrix = g.standard_normal((C, C), dtype=np.float32) * np.float32(std)
            x = x + rms_norm(x)[0] @ matrix.T / np.sqrt(2 * N if scaled else 1).astype(np.float32)
        return float(np.sqrt((x * x).mean()))

    def root(start: float, write: float) -> float:
        return float(np.sqrt(start**2 + write))

    def case(name: str, N: int, C: int, scaled: bool, quiet: float = 1) -> Case:
        def make(g: np.random.Generator) -> tuple[float, float, int, int, bool]:
            std = float(g.uniform(0.01, 0.03))
            return quiet * float(g.uniform(0.6, 0.9)) * std * C**0.5, std, C, N, scaled

        return Case(name, make)

    return Exercise(
        reference=by_running,
        rounds=1,
        cases=(
            case("one block", 1, 256, False),
            case("one block, scaled", 1, 256, True),
            case("six blocks", 6, 256, False),
            case("six blocks, scaled", 6, 256, True),
            case("a quiet start", 6, 256, True, 0.05),
            case("three blocks of another width", 3, 144, False),
            case("three blocks of another width, scaled", 3, 144, True),
        ),
        mistakes={
            "no_writes": Mistake(
                "you return the size at the start: nothing is written yet",
                lambda e, s, C, N, scaled: e,
            ),
            "linear": Mistake(
                "you add the sizes; unrelated vectors partly cancel, so their squares add up",
                lambda e, s, C, N, scaled: e + 2 * N * s * C**0.5 / (2 * N if scaled else 1) ** 0.5,
            ),
            "start_added": Mistake(
                "the start is one more unrelated vector: add squares, not sizes",
                lambda e, s, C, N, scaled: e + s * C**0.5 * (1 if scaled else 2 * N) ** 0.5,
            ),
            "start_not_squared": Mistake(
                "`start` is a size: square it before you add it to mean squares",
                lambda e, s, C, N, scaled: float(np.sqrt(e + C * s**2 * (1 if scaled else 2 * N))),
            ),
            "start_times_root": Mistake(
                "you let the start grow by √(2N); but 2N writes are added to it, each with a size of its own",
                lambda e, s, C, N, scaled: e if scaled else e * (2 * N) ** 0.5,
            ),
            "one_write": Mistake(
                "a block writes twice, so there are 2N writes",
                lambda e, s, C, N, scaled: root(e, N * C * s**2 / (2 * N if scaled else 1)),
            ),
            "one_write_and_root_N": Mistake(
                "a block writes twice: there are 2N writes, N only if each block wrote once",
                lambda e, s, C, N, scaled: root(e, C * s**2 * (1 if scaled else N)),
            ),
            "no_start": Mistake(
                "the stream does not begin at zero: the embedding is in the sum too",
                lambda e, s, C, N, scaled: root(0, 2 * N * C * s**2 / (2 * N if scaled else 1)),
            ),
            "no_C": Mistake(
                "C is missing: each number written is a sum over the C numbers read",
                lambda e, s, C, N, scaled: root(e, 2 * N * s**2 / (2 * N if scaled else 1)),
            ),
            "C_not_root": Mistake(
                "a write has the size std · √C, so its square is std² · C; you have C²",
                lambda e, s, C, N, scaled: root(e, 2 * N * (s * C) ** 2 / (2 * N if scaled else 1)),
            ),
            "never_scaled": Mistake(
                "you leave `scaled` out: then each write is smaller by √(2N)",
                lambda e, s, C, N, scaled: root(e, 2 * N * C * s**2),
            ),
            "always_scaled": Mistake(
                "you divide by √(2N) where `scaled` is False too",
                lambda e, s, C, N, scaled: root(e, C * s**2),
            ),
            "other_way_round": Mistake(
                "`scaled` is the other way round: the writes are smaller where it is True",
                lambda e, s, C, N, scaled: root(e, C * s**2 * (2 * N if scaled else 1)),
            ),
            "all_scaled": Mistake(
                "you shrink the whole stream; only the writes are divided by √(2N), the start is not",
                lambda e, s, C, N, scaled: root(e, 2 * N * C * s**2) / (2 * N if scaled else 1) ** 0.5,
            ),
            "scaled_by_N": Mistake(
                "you scale by √N; the factor is 1/√(2N), since there are two writes a block",
                lambda e, s, C, N, scaled: root(e, 2 * N * C * s**2 / (N if scaled else 1)),
            ),
            "scaled_twice": Mistake(
                "you divide each write by 2N; the factor is 1/√(2N)",
                lambda e, s, C, N, scaled: root(e, 2 * N * C * s**2 / ((2 * N) ** 2 if scaled else 1)),
            ),
            "square": Mistake(
                "this is the mean square; take its root",
                lambda e, s, C, N, scaled: e**2 + 2 * N * C * s**2 / (2 * N if scaled else 1),
            ),
            "not_normed": Mistake(
                "your writes grow with the stream; but a block reads the normed stream, whose size is 1",
                lambda e, s, C, N, scaled: e * (1 + C * s**2 / (2 * N if scaled else 1)) ** N,
            ),
        },
        tolerance=0.07,
    )


# 4. Some targets do not count


@exercise("07.masked_backward")
def masked_backward(ignored: int = -1) -> Exercise:
    def by_differences(p: Array, targets: NDArray[np.int64]) -> Array:
        logits = np.log(p)

        def loss() -> float:
            log_p = special.log_softmax(logits, axis=-1)
            return -float(np.mean([log_p[place][t] for place, t in np.ndenumerate(targets) if t != ignored]))

        return numerical_gradient(loss, logits)

    def one_hot(targets: NDArray[np.int64], V: int) -> Array:
        return np.asarray(targets[..., None] == np.arange(V), float)

    def attempt(
        p: Array, y: NDArray[np.int64], *, all_of_them: bool = False, hide: bool = True, sign: float = 1
    ) -> Array:
        counted = y != ignored
        d = (p - one_hot(y, p.shape[-1])) * (counted[..., None] if hide else 1)
        return sign * d / (y.size if all_of_them else counted.sum())

    def by_sequence(p: Array, y: NDArray[np.int64]) -> Array:
        counted = np.maximum((y != ignored).sum(-1), 1)[:, None, None]
        return attempt(p, y) * (y != ignored).sum() / counted / len(y)

    def no_one_hot(p: Array, y: NDArray[np.int64]) -> Array:
        return np.asarray(p * (y != ignored)[..., None] / (y != ignored).sum())

    def from_the_end(p: Array, y: NDArray[np.int64]) -> Array:
        return np.asarray((p - np.eye(p.shape[-1])[y]) / (y != ignored).sum())

    def first_character(p: Array, y: NDArray[np.int64]) -> Array:
        return attempt(p, np.where(y == ignored, 0, y), all_of_them=True) * y.size / (y != ignored).sum()

    def case(name: str, B: int, T: int, V: int, *hidden: tuple[int, int], equal: bool = False) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
            targets = g.integers(0, V, size=(B, T))
            for place in hidden:
                targets[place] = ignored
            return np.full((B, T, V), 1 / V) if equal else g.dirichlet(np.full(V, 3.0), (B, T)), targets

        return Case(name, make)

    return Exercise(
        reference=by_differences,
        cases=(
            case("T = 1, it counts", 1, 1, 3),
            case("one of two counts", 1, 2, 3, (0, 1)),
            case("equal p", 1, 3, 4, (0, 0), equal=True),
            case("a batch of two", 2, 4, 5, (0, 0), (0, 3), (1, 2)),
            case("one counts in all", 2, 2, 4, (0, 0), (0, 1), (1, 0)),
            case("all count", 2, 2, 4),
        ),
        mistakes={
            "all_count": Mistake(
                "you treat every place alike: those that do not count should change nothing",
                lambda p, y: attempt(p, y, all_of_them=True, hide=False),
            ),
            "divided_by_all": Mistake(
                "you divide by the number of all targets; the mean is over those that count",
                lambda p, y: attempt(p, y, all_of_them=True),
            ),
            "last_character": Mistake(
                f"as an index, {ignored} counts from the end; it is no character of the vocabulary",
                from_the_end,
            ),
            "nothing_changed": Mistake(
                f"these are the chapter's d_logits: all places count, and {ignored} is read as a character",
                lambda p, y: from_the_end(p, y) * (y != ignored).sum() / y.size,
            ),
            "first_character": Mistake(
                "a place that does not count gets a gradient as if its target were character 0",
                first_character,
            ),
            "ignored_get_p": Mistake(
                "a place that does not count gets p; it should get zero",
                lambda p, y: attempt(p, y, hide=False),
            ),
            "no_division": Mistake(
                "you do not divide: the loss is a mean, not a sum",
                lambda p, y: attempt(p, y) * (y != ignored).sum(),
            ),
            "by_sequence": Mistake(
                "you take the mean of each sequence first; the loss is one mean over all that count",
                by_sequence,
            ),
            "sign": Mistake(
                "the sign is wrong: what was said minus what was so",
                lambda p, y: attempt(p, y, sign=-1),
            ),
            "no_one_hot": Mistake("the one-hot of the target is not subtracted", no_one_hot),
            "divided_by_B": Mistake(
                "you divide by the batch size; each place that counts is a target",
                lambda p, y: attempt(p, y) * (y != ignored).sum() / len(y),
            ),
        },
        tolerance=1e-5,
    )


# 5. A parallel block, backward

TINY = preset("stories").replace(d_model=8, n_head=2, n_layer=1)


@exercise("07.parallel_backward")
def parallel_backward() -> Exercise:
    def by_differences(d_out: Array, x: Array, parameters: Parameters) -> Array:
        x = x.copy()

        def loss() -> float:
            normed, _ = rms_norm(x)
            change, _ = attention_layer(normed, part(parameters, "attention"), TINY)
            more, _ = ffn(normed, part(parameters, "ffn"), TINY)
            return float(((x + change + more) * d_out).sum())

        return numerical_gradient(loss, x)

    def ways(x: Array, parameters: Parameters) -> tuple[Callable[[Array], Array], ...]:
        """Back through the norm, the attention, the FFN."""
        normed, saved_norm = rms_norm(x)
        _, saved_attention = attention_layer(normed, part(parameters, "attention"), TINY)
        _, saved_ffn = ffn(normed, part(parameters, "ffn"), TINY)
        return (
            lambda d: rms_norm_backward(d, saved_norm)[0],
            lambda d: attention_layer_backward(d, saved_attention)[0],
            lambda d: ffn_backward(d, saved_ffn)[0],
        )

    def attempt(stream: float = 1, a: float = 1, f: float = 1, norm: bool = True) -> Callable[..., Array]:
        def gradient(d: Array, x: Array, parameters: Parameters) -> Array:
            back, attention, hidden = ways(x, parameters)
            d_normed = a * attention(d) + f * hidden(d)
            return stream * d + (back(d_normed) if norm else d_normed)

        return gradient

    def all_normed(d: Array, x: Array, parameters: Parameters) -> Array:
        back, attention, hidden = ways(x, parameters)
        return back(d + attention(d) + hidden(d))

    def one_after_another(d: Array, x: Array, parameters: Parameters) -> Array:
        back, attention, hidden = ways(x, parameters)
        d = d + back(hidden(d))
        return d + back(attention(d))

    def other_order(d: Array, x: Array, parameters: Parameters) -> Array:
        back, attention, hidden = ways(x, parameters)
        d = d + back(attention(d))
        return d + back(hidden(d))

    def chained(d: Array, x: Array, parameters: Parameters) -> Array:
        back, attention, hidden = ways(x, parameters)
        return d + back(attention(hidden(d)))

    def straight_and_normed(d: Array, x: Array, parameters: Parameters) -> Array:
        return d + all_normed(d, x, parameters)

    def norm_first(d: Array, x: Array, parameters: Parameters) -> Array:
        back, attention, hidden = ways(x, parameters)
        return d + attention(back(d)) + hidden(back(d))

    def case(name: str, B: int, T: int, size: float = 1) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, Array, Parameters]:
            shapes = part(parameter_shapes(TINY), "blocks.0")
            parameters = {name: 0.4 * g.normal(size=shape) for name, shape in shapes.items()}
            return g.normal(size=(B, T, 8)), size * g.normal(size=(B, T, 8)), parameters

        return Case(name, make)

    return Exercise(
        reference=by_differences,
        rounds=1,
        cases=(
            case("T = 1", 1, 1),
            case("B = 1, T = 2", 1, 2),
            case("a batch of two", 2, 3),
            case("a loud stream", 1, 3, 20),
        ),
        mistakes={
            "no_stream": Mistake(
                "d_out itself is missing: x also stands in the sum alone", attempt(stream=0)
            ),
            "only_stream": Mistake("nothing comes back through the branches", attempt(a=0, f=0)),
            "no_ffn": Mistake("the FFN's part is missing", attempt(f=0)),
            "no_attention": Mistake("the attention's part is missing", attempt(a=0)),
            "no_norm": Mistake(
                "what comes back from the branches must go through the norm's backward pass",
                attempt(norm=False),
            ),
            "stream_twice": Mistake(
                "d_out is counted twice: there are two branches, but one sum", attempt(stream=2)
            ),
            "half": Mistake("you average the branches; gradients of one input add up", attempt(a=0.5, f=0.5)),
            "all_normed": Mistake("d_out itself goes past the norm; you send it through", all_normed),
            "one_after_another": Mistake(
                "this is the chapter's block, where the FFN reads what attention wrote; here both read n",
                one_after_another,
            ),
            "other_order": Mistake(
                "you go through the FFN with what attention gave back; both branches are given d_out",
                other_order,
            ),
            "chained": Mistake(
                "you go through one branch with what the other gave back; both are given d_out, then added",
                chained,
            ),
            "straight_and_normed": Mistake(
                "d_out goes in twice: straight, which is right, and through the norm, which it never passed",
                straight_and_normed,
            ),
            "norm_first": Mistake(
                "backward, the norm comes last: it was the first step of the way forward", norm_first
            ),
        },
        tolerance=1e-5,
    )
