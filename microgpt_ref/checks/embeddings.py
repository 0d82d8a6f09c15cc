"""What the exercises of chapter 3 call: embeddings and positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from microgpt_ref.checks.compare import plain
from microgpt_ref.checks.exercise import Case, Exercise, Mistake, exercise, probe

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Bools = NDArray[np.bool_]


# 1. One-hot rows


@probe("each row holds one 1 and else zeros")
def one_one_a_row(got: Array, tokens: Ids, V: int) -> str | None:
    bad = [t for t, row in enumerate(got) if sorted(row) != [0] * (len(row) - 1) + [1]]
    return (
        f"row {bad[0]} is {np.round(got[bad[0]], 3).tolist()}; it should hold one 1 and zeros"
        if bad
        else None
    )


def floats(rows: Any) -> Any:
    """Whole numbers are as good as others here."""
    rows = plain(rows)
    return rows.astype(float) if isinstance(rows, np.ndarray) and rows.dtype.kind in "iu" else rows


def marked(tokens: Ids, V: int) -> Array:
    return np.array([[float(i == token) for i in range(V)] for token in tokens])


def assigned(shape: tuple[int, int], place: Any, value: Any = 1.0) -> Array:
    rows = np.zeros(shape)
    rows[place] = value
    return rows


@exercise("03.one_hot")
def one_hot() -> Exercise:
    def case(name: str, T: int, V: int) -> Case:
        return Case(name, lambda g: (g.integers(0, V, T), V))

    def rare_last(g: np.random.Generator) -> tuple[Ids, int]:
        V = int(g.integers(5, 9))
        return g.integers(1, V - 2, 4), V

    return Exercise(
        reference=marked,
        cases=(
            Case("T = 1", lambda g: (g.integers(1, 3, 1), 4)),
            Case("the same token twice", lambda g: (np.full(2, g.integers(1, 4)), 5)),
            Case("the last tokens of V do not occur", rare_last),
            Case("T = V", lambda g: (np.roll(np.arange(5), int(g.integers(1, 5))), 5)),
            case("T larger than V", 8, 4),
        ),
        mistakes={
            "transposed": Mistake(
                "rows and columns are exchanged: a position has a row, an id has a column",
                lambda tokens, V: marked(tokens, V).T,
            ),
            "counts": Mistake(
                "you add all positions up; each position has a row of its own",
                lambda tokens, V: marked(tokens, V).sum(0),
            ),
            "ids": Mistake(
                "you write the id where a 1 belongs: the id only says in which column",
                lambda tokens, V: marked(tokens, V) * tokens[:, None],
            ),
            "one_based": Mistake(
                "your 1 stands one column too far left: ids begin at 0, as columns do",
                lambda tokens, V: np.roll(marked(tokens, V), -1, axis=1),
            ),
            "positions": Mistake(
                "your 1 stands in the column of the position t, not of the token at t",
                lambda tokens, V: np.eye(len(tokens), V),
            ),
            "whole_rows": Mistake(
                "you choose rows by ids and fill them; a row belongs to a position, an id names a column",
                lambda tokens, V: assigned((len(tokens), V), tokens),
            ),
            "every_row": Mistake(
                "each of your rows has a 1 for every token of the text; row t is for the token at t only",
                lambda tokens, V: assigned((len(tokens), V), (slice(None), tokens)),
            ),
            "too_narrow": Mistake(
                "your rows end at the largest id that occurs; there are V columns, whatever the text",
                lambda tokens, V: marked(tokens, V)[:, : tokens.max() + 1],
            ),
            "one_row": Mistake(
                "only one row is filled; is the loop over all positions, and is the array made before it?",
                lambda tokens, V: assigned((len(tokens), V), (len(tokens) - 1, tokens[-1])),
            ),
        },
        probes=(one_one_a_row,),
        drive=lambda answer, tokens, V: floats(answer(tokens, V)),
    )


# 2. The lookup, backward


@exercise("03.add_rows")
def add_rows(padding: int = 0) -> Exercise:
    def gathered(
        d_x: Array,
        tokens: Ids,
        V: int,
        join: Callable[[Array], Array] = lambda rows: rows.sum(0),
        skip: int = padding,
    ) -> Array:
        """(V, C): `join` makes one row of all rows of d_x that belong to a token."""
        d_table = np.zeros((V, d_x.shape[-1]))
        for i in set(tokens.ravel().tolist()) - {skip}:
            d_table[i] = join(d_x[tokens == i])
        return d_table

    def case(name: str, B: int, T: int, C: int, most: int, V: int) -> Case:
        return Case(name, lambda g: (g.normal(size=(B, T, C)), g.integers(0, most, (B, T)), V))

    def without_row(d_x: Array, tokens: Ids, V: int) -> Array:
        return np.delete(gathered(d_x, tokens, V), padding, axis=0)

    other_padding = {
        "token_0": Mistake(
            "you leave out token 0, but PADDING is another one", lambda d, t, V: gathered(d, t, V, skip=0)
        )
    }
    return Exercise(
        reference=gathered,
        cases=(
            Case(
                "one token", lambda g: (g.normal(size=(1, 1, 2)), np.full((1, 1), padding + 1), padding + 2)
            ),
            Case("one token twice", lambda g: (g.normal(size=(1, 2, 2)), np.full((1, 2), padding + 1), 5)),
            Case("nothing but padding", lambda g: (g.normal(size=(1, 2, 2)), np.full((1, 2), padding), 4)),
            case("B = 1", 1, 7, 3, 4, 6),
            case("T = 1", 7, 1, 3, 4, 6),
            case("a batch", 3, 8, 4, 5, 7),
        ),
        mistakes={
            **(other_padding if padding else {}),
            "padding_trained": Mistake(
                "the row of PADDING gets a gradient; it should stay zero",
                lambda d, t, V: gathered(d, t, V, skip=-1),
            ),
            "last_stays": Mistake(
                "of equal tokens only the last one counts: `d_table[tokens] += …` writes each row once",
                lambda d, t, V: gathered(d, t, V, lambda rows: rows[-1]),
            ),
            "last_stays_padding": Mistake(
                "of equal tokens only the last one counts, and the row of PADDING gets a gradient",
                lambda d, t, V: gathered(d, t, V, lambda rows: rows[-1], skip=-1),
            ),
            "mean": Mistake(
                "you take the mean of the rows of a token; the chain rule adds them",
                lambda d, t, V: gathered(d, t, V, lambda rows: rows.mean(0)),
            ),
            "first_text": Mistake(
                "only the first text of the batch counts", lambda d, t, V: gathered(d[:1], t[:1], V)
            ),
            "not_added_over_texts": Mistake(
                "each text has a table of its own; texts use the same table, so their gradients add",
                lambda d, t, V: np.stack([gathered(a, b, V) for a, b in zip(d, t, strict=True)]),
            ),
            "row_removed": Mistake("the row of PADDING is gone; it should be there, all zeros", without_row),
            "transposed": Mistake(
                "rows and columns are exchanged: the gradient has the shape of the table, (V, C)",
                lambda d, t, V: gathered(d, t, V).T,
            ),
            "counted": Mistake(
                "you count how often each token occurs; what is added are the rows of d_x",
                lambda d, t, V: gathered(np.ones_like(d), t, V),
            ),
            "mixed": Mistake(
                "a reshape to (C, …) does not exchange axes: it mixes the channels of different positions",
                lambda d, t, V: gathered(d.reshape(d.shape[-1], -1).T.reshape(d.shape), t, V),
            ),
        },
    )


# 3. Something is inserted: which scores stay?


def sines(t: Ids, D: int) -> Array:
    """(T, D): sinusoidal vectors of positions t."""
    angles = t[:, None] * 10_000.0 ** (-np.arange(0, D, 2) / D)
    return np.stack((np.sin(angles), np.cos(angles)), -1).reshape(len(t), D)


def hands(x: Array, angles: Array, minus: bool = False) -> Array:
    """Turn the pairs (i, i + D/2) by complex numbers."""
    half = x.shape[-1] // 2
    z = (x[..., :half] + 1j * x[..., half:]) * np.exp(-1j * angles if minus else 1j * angles)
    return np.concatenate([z.real, z.imag], -1)


def experiment(kind: str, T: int, place: int) -> Bools:
    """Make random tokens, insert three others, and look which scores are the same."""
    D, g = 8, np.random.default_rng(T * 100 + place)
    q, k = g.normal(size=(2, T, D))

    def scores(t: Ids) -> Array:
        angles = t[:, None] * 10_000.0 ** (-np.arange(0, D, 2) / D)
        placed = {
            "none": (q, k),
            "added": (q + sines(t, D), k + sines(t, D)),
            "rotary": (hands(q, angles), hands(k, angles)),
        }[kind]
        return np.asarray(placed[0] @ placed[1].T)

    t = np.arange(T)
    return np.asarray(np.abs(scores(t) - scores(np.where(t < place, t, t + 3))) < 1e-9)


@exercise("03.scores_that_stay")
def scores_that_stay() -> Exercise:
    def rule(
        rotary: Callable[[Any, Any], Any] = lambda a, b: a == b,
        added: Callable[[Any, Any], Any] = lambda a, b: ~a & ~b,
        none: bool = True,
        late: int = 0,
    ) -> Callable[..., Bools]:
        """An answer that decides from (query moved, key moved), both (T, T), for each kind of positions."""

        def answer(kind: str, T: int, place: int) -> Bools:
            moved = np.arange(T) >= place + late
            a, b = np.broadcast_arrays(moved[:, None], moved)
            if kind == "none" and none:
                return np.ones((T, T), bool)
            return np.asarray((rotary if kind == "rotary" else added)(a, b))

        return answer

    def case(name: str, kind: str, T: int, place: int) -> Case:
        return Case(f"{kind}: {name}", lambda g: (kind, T, place))

    def longer(kind: str) -> Case:
        def make(g: np.random.Generator) -> tuple[str, int, int]:
            T = int(g.integers(6, 15))
            return kind, T, int(g.integers(2, T - 2))

        return Case(f"{kind}: a longer text", make)

    kinds = ("none", "added", "rotary")
    return Exercise(
        reference=experiment,
        cases=(
            *(case("T = 1", kind, 1, 0) for kind in kinds),
            *(case("T = 2, inserted between", kind, 2, 1) for kind in kinds[1:]),
            *(case("inserted at the end", kind, 3, 3) for kind in kinds[1:]),
            *(longer(kind) for kind in kinds),
        ),
        mistakes={
            "rotary_like_added": Mistake(
                "with rotary positions two tokens that move together keep their score: their distance stays",
                rule(rotary=lambda a, b: ~a & ~b),
            ),
            "rotary_all_stay": Mistake(
                "with rotary positions a score depends on the distance, and tokens on two sides of the new"
                " ones are now farther apart",
                rule(rotary=lambda a, b: a | ~a),
            ),
            "added_like_rotary": Mistake(
                "with added positions only the term p · p depends on the distance; the two terms in the"
                " middle change with each place",
                rule(added=lambda a, b: a == b),
            ),
            "none_like_added": Mistake(
                "without positions a score knows only the two tokens, and those have not changed",
                rule(none=False),
            ),
            "one_too_late": Mistake(
                "the token that stood at `place` moves too: what is new stands before it", rule(late=1)
            ),
            "query_only": Mistake(
                "you look only at where the query stands; the key can move as well",
                rule(rotary=lambda a, b: ~a, added=lambda a, b: ~a),
            ),
            "either": Mistake(
                "you ask whether one of the two tokens stays; a score changes as soon as one of them moves"
                " against the other",
                rule(rotary=lambda a, b: ~a | ~b, added=lambda a, b: ~a | ~b),
            ),
            "one_side_only": Mistake(
                "with rotary positions two tokens before `place` keep their score, too",
                rule(rotary=lambda a, b: a & b),
            ),
            "opposite": Mistake(
                "your answer is upside down: True where a score changes",
                lambda kind, T, place: ~rule()(kind, T, place),
            ),
            "causal": Mistake(
                "you leave out keys that come later; there is no mask here, each pair counts",
                lambda kind, T, place: np.tril(rule()(kind, T, place)),
            ),
        },
    )


# 4. Rotary by complex numbers


@probe("lengths stay")
def lengths_stay(got: Array, x: Array) -> str | None:
    before, after = (np.linalg.norm(z, axis=-1) for z in (x, got))
    bad = np.flatnonzero(~np.isclose(before, after))
    return (
        f"row {bad[0]} had the length {before[bad[0]]:.3g} and has {after[bad[0]]:.3g}" if len(bad) else None
    )


@exercise("03.rotate_complex")
def rotate_complex(base: float = 1_000.0) -> Exercise:
    def angles(x: Array, base: float = base, start: int = 0, power: float = 2.0) -> Array:
        T, D = x.shape
        return np.array(
            [[t * base ** (-power * i / D) for i in range(D // 2)] for t in range(start, T + start)]
        )

    def by_pairs(x: Array, turns: Array) -> Array:
        """Each pair times its two by two matrix, in loops."""
        out, half = np.empty_like(x), x.shape[-1] // 2
        for t, i in np.ndindex(turns.shape):
            cos, sin = np.cos(turns[t, i]), np.sin(turns[t, i])
            out[t, [i, i + half]] = np.array([[cos, -sin], [sin, cos]]) @ x[t, [i, i + half]]
        return out

    def neighbours(x: Array) -> Array:
        order = np.argsort(np.r_[0 : x.shape[1] : 2, 1 : x.shape[1] : 2])
        return by_pairs(x[:, np.argsort(order)], angles(x))[:, order]

    def alternating(x: Array) -> Array:
        return by_pairs(x, angles(x)).reshape(len(x), 2, -1).swapaxes(1, 2).reshape(x.shape)

    other_base = {
        "usual_base": Mistake(
            "your base is 10,000, as in the chapter; the exercise asks for BASE",
            lambda x: by_pairs(x, angles(x, 10_000.0)),
        )
    }

    def case(name: str, T: int, D: int) -> Case:
        return Case(name, lambda g: (g.normal(size=(T, D)),))

    return Exercise(
        reference=lambda x: by_pairs(x, angles(x)),
        cases=(
            case("T = 1", 1, 2),
            case("one hand", 3, 2),
            case("two hands", 2, 4),
            case("three hands", 7, 6),
            Case("long vectors at far positions", lambda g: (100 * g.normal(size=(40, 8)),)),
        ),
        mistakes={
            **(other_base if base != 10_000 else {}),
            "backwards": Mistake(
                "your hands turn backwards; a turn by φ is a product with exp(+iφ)",
                lambda x: by_pairs(x, -angles(x)),
            ),
            "neighbours": Mistake(
                "you pair neighbours, 2i and 2i + 1; here i and i + D/2 are a pair", neighbours
            ),
            "alternating": Mistake(
                "you turn the right pairs, but the results alternate; all real parts come first, then all"
                " imaginary ones",
                alternating,
            ),
            "half_power": Mistake(
                "your hands slow down too little: hand i has the speed base^(−2i/D); is the 2 there?",
                lambda x: by_pairs(x, angles(x, power=1.0)),
            ),
            "double_power": Mistake(
                "your hands slow down too fast: in base^(−2i/D) stands D, not the number of hands D/2",
                lambda x: by_pairs(x, angles(x, power=4.0)),
            ),
            "faster": Mistake(
                "your hands get faster from pair to pair; is the minus in base^(−2i/D) there?",
                lambda x: by_pairs(x, angles(x, power=-2.0)),
            ),
            "one_speed": Mistake(
                "all your hands have the same speed; hand i has base^(−2i/D)",
                lambda x: by_pairs(x, angles(x, power=0.0)),
            ),
            "from_one": Mistake(
                "your positions begin at 1; the first token stands at 0 and is not turned",
                lambda x: by_pairs(x, angles(x, start=1)),
            ),
            "no_position": Mistake(
                "each row turns by the same angle; hand i goes on by its speed from position to position",
                lambda x: by_pairs(x, np.tile(angles(np.ones((2, x.shape[1])))[1], (len(x), 1))),
            ),
            "lengths": Mistake(
                "the parts are exchanged: the real part belongs to the first half of the channels",
                lambda x: np.roll(by_pairs(x, angles(x)), x.shape[1] // 2, axis=1),
            ),
        },
        probes=(lengths_stay,),
    )


# 5. Turning back


@exercise("03.rotate_back")
def rotate_back() -> Exercise:
    def by_matrix(d_out: Array, angles: Array, matrix: Callable[[Any, Any], Any]) -> Array:
        """Each pair of d_out times a two by two matrix of the cosine and the sine."""
        out, half = np.empty_like(d_out), angles.shape[1]
        for t, i in np.ndindex(angles.shape):
            turn = np.array(matrix(np.cos(angles[t, i]), np.sin(angles[t, i])))
            out[t, [i, i + half]] = turn @ d_out[t, [i, i + half]]
        return out

    def by(matrix: Callable[[Any, Any], Any]) -> Callable[[Array, Array], Array]:
        return lambda d_out, angles: by_matrix(d_out, angles, matrix)

    def neighbours(d_out: Array, angles: Array) -> Array:
        z = (d_out[:, ::2] + 1j * d_out[:, 1::2]) * np.exp(-1j * angles)
        return np.stack([z.real, z.imag], -1).reshape(d_out.shape)

    def case(name: str, T: int, D: int, turns: Callable[..., Any]) -> Case:
        return Case(name, lambda g: (g.normal(size=(T, D)), turns(g, (T, D // 2))))

    return Exercise(
        # the transpose of the turn's matrix
        reference=by(lambda cos, sin: np.array([[cos, -sin], [sin, cos]]).T),
        cases=(
            case("an angle of zero", 1, 2, lambda g, shape: np.zeros(shape)),
            case("a quarter of a turn", 1, 2, lambda g, shape: np.full(shape, np.pi / 2)),
            case("one hand", 1, 2, lambda g, shape: g.uniform(0.2, 1.3, shape)),
            case("three hands", 4, 6, lambda g, shape: g.uniform(-3, 3, shape)),
            case("many turns", 5, 8, lambda g, shape: g.uniform(0, 500, shape)),
        ),
        mistakes={
            "forward": Mistake(
                "you turn forward once more; the gradient turns the other way",
                by(lambda c, s: [[c, -s], [s, c]]),
            ),
            "unchanged": Mistake(
                "the gradient comes out as it went in; it must be turned", by(lambda c, s: [[1, 0], [0, 1]])
            ),
            "cosines_only": Mistake(
                "the terms with the sine are missing: each output depends on both numbers of its pair",
                by(lambda c, s: [[c, 0], [0, c]]),
            ),
            "no_minus": Mistake(
                "there is no minus: one of the two sines has one", by(lambda c, s: [[c, s], [s, c]])
            ),
            "reflected": Mistake(
                "the minus stands at a cosine: that mirrors the pair and does not turn it",
                by(lambda c, s: [[c, s], [s, -c]]),
            ),
            "slope_of_the_angle": Mistake(
                "this is the slope with respect to the angle; asked for is the gradient with respect to x",
                by(lambda c, s: [[-s, -c], [c, -s]]),
            ),
            "half_turned": Mistake(
                "only the first half of the channels is turned; the second needs its line too",
                by(lambda c, s: [[c, s], [0, 1]]),
            ),
            "doubled": Mistake(
                "you turn back twice",
                by(lambda c, s: [[c * c - s * s, 2 * s * c], [-2 * s * c, c * c - s * s]]),
            ),
            "neighbours": Mistake(
                "you pair neighbours, 2i and 2i + 1; `rotate` pairs i and i + D/2", neighbours
            ),
        },
    )


# 6. A slower clock


@exercise("03.slower_base")
def slower_base(factor: int = 2) -> Exercise:
    def by_search(base: float, D: int) -> float:
        """The base for which the slowest hand stands at factor · t where it stood at t."""

        def too_far(log_base: float) -> float:
            return float(factor * np.exp(log_base * (2 - D) / D) - base ** ((2 - D) / D)) * base ** (
                (D - 2) / D
            )

        return float(np.exp(optimize.brentq(too_far, np.log(base) - 40, np.log(base) + 40, xtol=1e-14)))

    def power(exponent: Callable[[int], float]) -> Callable[[float, int], float]:
        return lambda base, D: base * factor ** exponent(D)

    def case(D: int) -> Case:
        return Case(f"D = {D}", lambda g: (float(g.uniform(50, 20_000)), D))

    return Exercise(
        reference=by_search,
        cases=(case(4), case(6), case(32), case(128)),
        mistakes={
            "times_factor": Mistake(
                "if the base grows by the factor, the slowest hand slows by less: its exponent is not −1",
                power(lambda D: 1),
            ),
            "upside_down": Mistake(
                "the exponent is upside down: put your base into the speed of the slowest hand",
                power(lambda D: (D - 2) / D),
            ),
            "faster": Mistake(
                "your base makes hands faster; they should need longer for the same angle",
                power(lambda D: D / (2 - D)),
            ),
            "last_channel": Mistake(
                "the slowest hand is pair D/2 − 1, so 2i is D − 2, not D − 1",
                power(lambda D: D / (D - 1)),
            ),
            "first_slow_hand": Mistake(
                "you keep the angle of hand 1; the slowest hand is the last one", power(lambda D: D / 2)
            ),
            "only_the_factor": Mistake(
                "the old base is missing: this is by how much it grows",
                lambda base, D: factor ** (D / (D - 2)),
            ),
            "the_speed": Mistake(
                "this is the slowest hand's speed; asked for is the base that gives it",
                lambda base, D: base ** ((2 - D) / D) / factor,
            ),
            "no_factor": Mistake("the base is as before; the factor is not used", lambda base, D: base),
            "added": Mistake("you add where powers multiply", lambda base, D: base + factor ** (D / (D - 2))),
        },
    )
