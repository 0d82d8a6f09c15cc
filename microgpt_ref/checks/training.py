"""What the exercises of chapter 8 call: training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe

Array = NDArray[np.float64]
Ids = NDArray[np.integer[Any]]

# 1. Inputs and targets


@exercise("08.windows")
def windows(ahead: int = 2) -> Exercise:
    def cut(ids: Ids, starts: Ids, T: int, shift: int = 0) -> Ids:
        return np.asarray(ids[starts[:, None] + np.arange(T) + shift])

    def by_loops(ids: Ids, starts: Ids, T: int) -> tuple[Ids, Ids]:
        inputs = [[ids[start + t] for t in range(T)] for start in starts]
        targets = [[ids[start + t + ahead] for t in range(T)] for start in starts]
        return np.array(inputs), np.array(targets)

    def shifted(by: int, inputs: int = 0) -> Callable[..., tuple[Ids, Ids]]:
        return lambda ids, starts, T: (cut(ids, starts, T, inputs), cut(ids, starts, T, by))

    def case(name: str, B: int, T: int, at_the_end: bool = False) -> Case:
        def make(g: np.random.Generator) -> tuple[Ids, Ids, int]:
            ids = g.permutation(np.arange(100, 100 + 12 * T + 2 * ahead, dtype=np.uint16))  # all different
            last = len(ids) - T - ahead
            starts = np.full(B, last) if at_the_end else g.permutation(np.arange(ahead, last))[:B]
            return ids, starts, T

        return Case(name, make)

    by_one = {
        "shift_of_one": Mistake(
            "your targets are one place later; this exercise asks for another distance", shifted(1)
        )
    }
    return Exercise(
        reference=by_loops,
        cases=(
            case("B = T = 1", 1, 1),
            case("B = 1", 1, 5),
            case("T = 1", 4, 1),
            case("a batch", 3, 8),
            case("the last window of the text", 1, 6, at_the_end=True),
        ),
        mistakes={
            "no_shift": Mistake(
                "your targets are the inputs themselves: the model has only to copy", shifted(0)
            ),
            **({} if ahead == 1 else by_one),
            "one_too_far": Mistake(
                "your targets are one place too far ahead, and beyond the end of the text", shifted(ahead + 1)
            ),
            "into_the_past": Mistake(
                "your targets come before the inputs: the model is asked for what it has just read",
                shifted(-ahead),
            ),
            "exchanged": Mistake("inputs and targets are exchanged", shifted(0, ahead)),
            "wraps": Mistake(
                "the last targets of a row are its own first inputs; np.roll brings back what falls off",
                lambda ids, starts, T: (cut(ids, starts, T), np.roll(cut(ids, starts, T), -ahead, axis=1)),
            ),
            "last_only": Mistake(
                "there is one target for each window; each of its T positions should have one",
                lambda ids, starts, T: (cut(ids, starts, T), ids[starts + T - 1 + ahead]),
            ),
            "too_long": Mistake(
                "your rows hold the whole window with what comes after it; T positions were asked for",
                lambda ids, starts, T: (
                    cut(ids, starts, T + ahead),
                    cut(ids, starts, T, ahead),
                ),
            ),
            "too_short": Mistake(
                "your rows lose positions: to keep T of them after the shift, cut a longer window first",
                lambda ids, starts, T: (
                    cut(ids, starts, T + 1)[:, :-ahead],
                    cut(ids, starts, T + 1)[:, ahead:],
                ),
            ),
            "columns": Mistake(
                "your windows stand in columns: the batch comes first, (B, T)",
                lambda ids, starts, T: (cut(ids, starts, T).T, cut(ids, starts, T, ahead).T),
            ),
        },
    )


# 2. The length of a step


def last_steps(g: float, learning_rate: float, mu: float, steps: int) -> tuple[float, float, float]:
    """How far SGD, momentum and Adam move a weight in the last of some steps, if the gradient is always g."""
    w, moved = np.zeros(3), np.zeros(3)
    total = mean = mean_square = 0.0
    for t in range(1, steps + 1):
        total = mu * total + g
        mean, mean_square = 0.9 * mean + 0.1 * g, 0.999 * mean_square + 0.001 * g**2
        adam = mean / (1 - 0.9**t) / (np.sqrt(mean_square / (1 - 0.999**t)) + 1e-8)
        after = w - learning_rate * np.array([g, total, adam])
        w, moved = after, np.abs(after - w)
    sgd, momentum, adam = moved.tolist()
    return sgd, momentum, adam


@exercise("08.step_lengths")
def step_lengths(after: int = 3) -> Exercise:
    # PyTorch loads much of itself with the first optimizer; an answer that uses one is not to wait for that
    torch.optim.SGD([torch.zeros(1)], lr=1.0)

    def guess(
        terms: Callable[[float], float] = lambda mu: sum(mu**i for i in range(after)),
        adam: Callable[[float], float] = lambda g: 1.0,
        size: Callable[[float], float] = abs,
    ) -> Callable[..., tuple[float, float, float]]:
        return lambda g, rate, mu: (rate * size(g), rate * size(g) * terms(mu), rate * adam(g))

    def case(name: str, low: float, high: float, sign: float = 1) -> Case:
        return Case(
            name,
            lambda g: (
                sign * float(g.uniform(low, high)),
                float(g.uniform(0.01, 0.2)),
                float(g.uniform(0.6, 0.9)),
            ),
        )

    return Exercise(
        reference=lambda g, learning_rate, mu: last_steps(g, learning_rate, mu, after),
        cases=(
            case("a gradient near 1", 1.2, 2),
            case("a large gradient", 20, 40),
            case("a small gradient", 0.001, 0.01),
            case("a negative gradient", 2, 5, sign=-1),
        ),
        mistakes={
            "all_alike": Mistake(
                "you give all three the step of SGD; momentum adds gradients up, Adam divides by their size",
                guess(lambda mu: 1, abs),
            ),
            "adam_by_gradient": Mistake(
                "your step of Adam grows with the gradient; but m is divided by √v, which grows alike",
                guess(adam=abs),
            ),
            "adam_not_corrected": Mistake(
                "you leave out Adam's division by 1 − βᵗ, so its first steps are not of full length",
                guess(adam=lambda g: (1 - 0.9**after) / (1 - 0.999**after) ** 0.5),
            ),
            "momentum_at_rest": Mistake(
                "your momentum is that after very many steps, 1/(1 − μ); so early the sum has few terms",
                guess(lambda mu: 1 / (1 - mu)),
            ),
            "no_momentum": Mistake(
                "your step of momentum is that of SGD; the old gradients still push",
                guess(lambda mu: 1),
            ),
            "momentum_mean": Mistake(
                "you take m for a mean, with a factor 1 − μ; in this chapter's momentum it is a sum",
                guess(lambda mu: 1 - mu**after),
            ),
            "one_term_less": Mistake(
                "your sum of gradients has one term too few: step 1 already has its own gradient",
                guess(lambda mu: sum(mu**i for i in range(after - 1))),
            ),
            "one_term_more": Mistake(
                "your sum of gradients has one term too many: nothing was there before step 1",
                guess(lambda mu: sum(mu**i for i in range(after + 1))),
            ),
            "last_share": Mistake(
                "you count only what is left of the first gradient; the later ones push as well",
                guess(lambda mu: mu ** (after - 1)),
            ),
            "no_forgetting": Mistake(
                "you add the gradients up whole; a share μ of the old sum stays at each step",
                guess(lambda mu: after),
            ),
            "signed": Mistake(
                "a length is never negative: take the size of the gradient", guess(size=lambda g: g)
            ),
            "distance": Mistake(
                "you give the way of all steps together; the length of the last one was asked for",
                lambda g, rate, mu: (
                    after * rate * abs(g),
                    rate * abs(g) * sum(mu**i * (after - i) for i in range(after)),
                    after * rate,
                ),
            ),
        },
        tolerance=1e-4,
    )


# 3. Clipping


@probe("at most the limit")
def within_the_limit(got: Any, gradients: Any, limit: float) -> str | None:
    norm = float(np.sqrt(sum((np.asarray(g) ** 2).sum() for g in got[1])))
    return f"the norm afterwards is {norm:.3g}, the limit {limit:.3g}" if norm > limit * 1.001 else None


def norm_of(gradients: list[Float[torch.Tensor, "*_"]]) -> float:
    return float(np.linalg.norm(np.concatenate([g.detach().numpy().ravel() for g in gradients])))


def scale(gradients: list[Float[torch.Tensor, "*_"]], factor: Callable[[torch.Tensor], float]) -> None:
    for gradient in gradients:
        gradient.mul_(factor(gradient))


@exercise("08.clip")
def clip() -> Exercise:
    Norm = Callable[[list[torch.Tensor]], float]

    def clipped(gradients: list[torch.Tensor], limit: float) -> float:
        norm = norm_of(gradients)
        if norm > limit:
            scale(gradients, lambda g: limit / norm)
        return norm

    def with_norm(measure: Norm) -> Callable[..., float]:
        def answer(gradients: list[torch.Tensor], limit: float) -> float:
            norm = measure(gradients)
            scale(gradients, lambda g: min(1.0, limit / norm) if norm else 1.0)
            return norm

        return answer

    def always(gradients: list[torch.Tensor], limit: float) -> float:
        norm = norm_of(gradients)
        scale(gradients, lambda g: limit / norm if norm else 1.0)
        return norm

    def by_zero(gradients: list[torch.Tensor], limit: float) -> float:
        norm = norm_of(gradients)
        scale(gradients, lambda g: min(1.0, limit / norm))
        return norm

    def one_by_one(gradients: list[torch.Tensor], limit: float) -> float:
        norm = norm_of(gradients)
        scale(gradients, lambda g: min(1.0, limit / norm_of([g])) if norm else 1.0)
        return norm

    def by_value(gradients: list[torch.Tensor], limit: float) -> float:
        norm = norm_of(gradients)
        for gradient in gradients:
            gradient.clamp_(-limit, limit)
        return norm

    def norm_after(gradients: list[torch.Tensor], limit: float) -> float:
        clipped(gradients, limit)
        return norm_of(gradients)

    def drive(answer: Callable[..., Any], gradients: list[torch.Tensor], limit: float) -> Any:
        norm = answer(gradients, limit)
        return norm, gradients  # as the answer left them

    def case(name: str, shapes: list[tuple[int, ...]], low: float, high: float) -> Case:
        """Gradients whose norm lies between low and high times the limit."""

        def make(g: np.random.Generator) -> tuple[list[torch.Tensor], float]:
            limit = float(g.uniform(0.3, 3))
            raw = [torch.from_numpy(np.asarray(g.uniform(0.5, 1, shape) * g.choice([-1, 1], shape)))
                   for shape in shapes]  # fmt: skip
            want = limit * float(g.uniform(low, high))
            return [gradient * (want / norm_of(raw)) for gradient in raw], limit

        return Case(name, make)

    return Exercise(
        reference=clipped,
        cases=(
            case("one number", [(1,)], 2, 4),
            case("two tensors", [(2,), (3,)], 3, 5),
            case("a short gradient", [(2,), (2, 2)], 0.2, 0.8),
            case("four tensors, just above the limit", [(1,), (4,), (2, 3), (5,)], 1.1, 1.3),
            case("a very long gradient", [(3, 2), (4,)], 100, 200),
            case("all gradients are zero", [(2,), (3,)], 0, 0),
        ),
        mistakes={
            "not_in_place": Mistake(
                "the norm is right, but the gradients stay as they were: change the tensors themselves",
                lambda gradients, limit: norm_of(gradients),
            ),
            "nothing_returned": Mistake(
                "the gradients are right, but your function does not return the norm",
                lambda gradients, limit: (clipped(gradients, limit), None)[1],
            ),
            "norm_after": Mistake(
                "you return the norm after clipping; the one before shows the spikes", norm_after
            ),
            "lengthens": Mistake(
                "you bring every gradient to the limit; a short one should stay as it is", always
            ),
            "divides_by_zero": Mistake(
                "a gradient of zero makes you divide by zero; its norm needs no clipping", by_zero
            ),
            "each_tensor": Mistake(
                "you clip each tensor by its own norm, which turns the gradient; take one norm over all",
                one_by_one,
            ),
            "each_number": Mistake(
                "you cut off each number at the limit; shorten all by one factor, to keep the direction",
                by_value,
            ),
            "no_root": Mistake(
                "your norm is the sum of the squares; its root is missing",
                with_norm(lambda gradients: norm_of(gradients) ** 2),
            ),
            "sum_of_norms": Mistake(
                "you add up the norms of the tensors; add up their squares, then take the root",
                with_norm(lambda gradients: sum(norm_of([g]) for g in gradients)),
            ),
            "mean": Mistake(
                "your norm uses the mean of the squares; it should be their sum",
                with_norm(lambda gradients: norm_of(gradients) / sum(g.numel() for g in gradients) ** 0.5),
            ),
            "largest": Mistake(
                "you take the largest number for the norm",
                with_norm(lambda gradients: max(float(g.abs().max()) for g in gradients)),
            ),
            "sizes": Mistake(
                "your norm adds up sizes, not squares",
                with_norm(lambda gradients: sum(float(g.abs().sum()) for g in gradients)),
            ),
        },
        probes=(within_the_limit,),
        tolerance=1e-5,
        drive=drive,
        may_change_arguments=True,
    )


# 4. A split that cannot leak


def facts(answer: Callable[..., Any], lines: list[str], share: float, seed: int) -> dict[str, bool] | None:
    """What holds for a split: there are many right ones, so their properties are compared."""
    parts = answer(lines, share, seed)
    if parts is None:
        return None
    pair = isinstance(parts, tuple | list) and len(parts) == 2
    training, validation = (list(part) for part in parts) if pair else (lines, [])
    n, held_out = len(set(lines)), len(set(validation))
    many = n >= 100  # a split of few lines may come out twice by chance
    noise = 5 * (share * (1 - share) / n) ** 0.5 + 1 / n
    return {
        "two lists come back": pair,
        "no line is lost or added": Counter(training + validation) == Counter(lines),
        "no line is on both sides": not set(training) & set(validation),
        "the share of distinct lines held out is right": abs(held_out / n - share) <= noise,
        "the same seed gives the same split": not (many and pair) or _same(parts, answer(lines, share, seed)),
        "another seed gives another split": not (many and pair)
        or not _same(parts, answer(lines, share, seed + 1)),
    }


def _same(a: Any, b: Any) -> bool:
    return all(list(x) == list(y) for x, y in zip(a, b, strict=True))


@exercise("08.split")
def split() -> Exercise:
    Parts = tuple[list[str], list[str]]

    def by_random_numbers(lines: list[str], share: float, seed: int) -> Parts:
        distinct = sorted(set(lines))
        number = dict(zip(distinct, np.random.RandomState(seed).rand(len(distinct)), strict=True))
        limit = sorted(number.values())[round(share * len(number)) - 1]
        return [x for x in lines if number[x] > limit], [x for x in lines if number[x] <= limit]

    def cut(lines: list[str], share: float) -> Parts:
        k = round(share * len(lines))
        return lines[k:], lines[:k]

    def shuffled(lines: list[str], seed: int | None) -> list[str]:
        return [lines[i] for i in np.random.default_rng(seed).permutation(len(lines))]

    def chosen(lines: list[str], held_out: list[str]) -> Parts:
        return [x for x in lines if x not in held_out], [x for x in lines if x in held_out]

    def drops_shared(lines: list[str], share: float, seed: int) -> Parts:
        training, validation = cut(shuffled(lines, seed), share)
        return training, [x for x in validation if x not in training]

    def case(name: str, distinct: int, copies: int, share: float) -> Case:
        def make(g: np.random.Generator) -> tuple[list[str], float, int]:
            first = int(g.integers(1000))
            lines = [f"story {first + i}" for i in range(distinct) for _ in range(copies)]
            return [lines[i] for i in g.permutation(len(lines))], share, int(g.integers(10_000))

        return Case(name, make)

    return Exercise(
        reference=by_random_numbers,
        drive=facts,
        cases=(
            case("two lines, ten times each", 2, 10, 0.5),
            case("no line twice", 200, 1, 0.2),
            case("each line four times", 300, 4, 0.2),
            case("a large share", 150, 3, 0.7),
        ),
        mistakes={
            "one_list": Mistake(
                "give back two lists: first the lines for training, then those for validation",
                lambda lines, share, seed: lines,
            ),
            "copies_apart": Mistake(
                "you choose among the lines, so copies of one line land on both sides: choose among the"
                " distinct ones",
                lambda lines, share, seed: cut(shuffled(lines, seed), share),
            ),
            "in_order": Mistake(
                "you cut the text as it stands: copies land on both sides, and the seed changes nothing",
                lambda lines, share, seed: cut(lines, share),
            ),
            "drops_copies": Mistake(
                "copies are lost: each line comes out once. Sort the lines into two parts, all of them",
                lambda lines, share, seed: cut(shuffled(sorted(set(lines)), seed), share),
            ),
            "drops_shared": Mistake(
                "you split first and then throw away what is on both sides; little is left to validate",
                drops_shared,
            ),
            "no_seed": Mistake(
                "each call gives another split: the generator does not get the seed",
                lambda lines, share, seed: chosen(lines, cut(shuffled(sorted(set(lines)), None), share)[1]),
            ),
            "seed_unused": Mistake(
                "every seed gives the same split: the distinct lines are not shuffled",
                lambda lines, share, seed: chosen(lines, cut(sorted(set(lines)), share)[1]),
            ),
            "exchanged": Mistake(
                "the two sides are exchanged: `share` is for validation, which comes second",
                lambda lines, share, seed: chosen(lines, cut(shuffled(sorted(set(lines)), seed), share)[1])[
                    ::-1
                ],
            ),
        },
    )


# 5. Lion


@exercise("08.lion")
def lion() -> Exercise:
    Answer = Callable[[Array, Array, dict[str, Any], float], Any]
    BETA1, BETA2, DECAY = 0.9, 0.99, 0.1

    def drive(answer: Answer, w: Array, g: Array, state: dict[str, Any], learning_rate: float) -> Any:
        """All weights along a path of several steps: g holds one gradient for each."""
        path, own = [], dict(state)
        for gradient in g:
            w = answer(w.copy(), gradient.copy(), own, learning_rate)
            if w is None:
                return None
            path.append(np.asarray(w))
        return np.stack(path)

    def in_torch(w: Array, g: Array, state: dict[str, Any], learning_rate: float) -> Array:
        m = state.setdefault("m", torch.zeros(len(w), dtype=torch.float64))
        weights = torch.from_numpy(w).mul_(1 - learning_rate * DECAY)
        weights.sub_(torch.lerp(torch.from_numpy(g), m, BETA1).sign(), alpha=learning_rate)
        m.lerp_(torch.from_numpy(g), 1 - BETA2)
        return np.asarray(weights.numpy())

    def attempt(
        *, inner: float = BETA1, outer: float = BETA2, sign: Callable[[Array], Array] = np.sign,
        decay: float = DECAY, unscaled: bool = False, coupled: bool = False, first: bool = False,
        uphill: bool = False, inside: bool = False,
    ) -> Answer:  # fmt: skip
        def answer(w: Array, g: Array, state: dict[str, Any], rate: float) -> Array:
            if coupled:
                g = g + decay * w
            m = state.get("m", np.zeros_like(w))
            after = outer * m + (1 - outer) * g
            state["m"] = after
            c = inner * (after if first else m) + (1 - inner) * g
            if inside:
                return np.asarray(w - rate * sign(c + decay * w))
            shrink = 0.0 if coupled else decay * w * (1 if unscaled else rate)
            return np.asarray(w - shrink - (-rate if uphill else rate) * sign(c))

        return answer

    def case(name: str, steps: int, n: int) -> Case:
        def make(g: np.random.Generator) -> tuple[Array, Array, dict[str, Any], float]:
            # one common direction under noise, so that the running mean has something to find
            gradients = g.normal(size=(steps, n)) + 0.3 * g.normal(size=n)
            return 3 * g.normal(size=n), gradients, {}, float(g.uniform(0.05, 0.2))

        return Case(name, make)

    return Exercise(
        reference=in_torch,
        drive=drive,
        cases=(
            case("one step", 1, 2),
            case("two steps", 2, 3),
            Case(
                "gradients of zero",
                lambda g: (g.normal(size=3), np.zeros((2, 3)), {}, float(g.uniform(0.05, 0.2))),
            ),
            case("forty steps", 40, 30),
        ),
        mistakes={
            "sign_of_gradient": Mistake(
                "you take the sign of the gradient alone: the memory m is not used", attempt(inner=0)
            ),
            "sign_of_memory": Mistake(
                "you take the sign of the new m; Lion mixes the old m and g with β₁ for the step",
                attempt(inner=BETA2),
            ),
            "memory_first": Mistake(
                "you renew m before the step uses it, so the gradient counts twice", attempt(first=True)
            ),
            "memory_by_beta1": Mistake(
                "your m keeps the mixture of the step; m has a rule of its own, with β₂",
                attempt(outer=BETA1),
            ),
            "betas_exchanged": Mistake(
                "β₁ and β₂ are exchanged: β₁ is for the step, β₂ for the memory",
                attempt(inner=BETA2, outer=BETA1),
            ),
            "no_sign": Mistake(
                "the sign is missing: your steps still grow with the gradient", attempt(sign=lambda c: c)
            ),
            "no_decay": Mistake("the weight decay is missing", attempt(decay=0)),
            "decay_not_scaled": Mistake(
                "your decay is not multiplied by the learning rate", attempt(unscaled=True)
            ),
            "decay_in_gradient": Mistake(
                "you add the decay to the gradient, so it passes through the sign and the memory",
                attempt(coupled=True),
            ),
            "decay_in_sign": Mistake(
                "your decay stands inside the sign, where only its direction is left", attempt(inside=True)
            ),
            "decay_negative": Mistake("your decay makes the weights grow", attempt(decay=-DECAY)),
            "uphill": Mistake("your steps go uphill, along the gradient", attempt(uphill=True)),
        },
    )
