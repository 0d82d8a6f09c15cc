"""Right answers to the exercises of chapter 12, written in other ways than the solutions."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import numpy as np
import torch

from microgpt_ref.sampling import stop_text
from tests.checks.answers import right


@right("12.texts_that_fit", way="fractions")
def with_fractions(memory, parameters, N, n_kv_head, D, T):
    free = Fraction(memory) - 2 * parameters
    return int(max(free, Fraction(0)) / (2 * N * T * n_kv_head * D * 2))


@right("12.texts_that_fit", way="a loop")
def fill_up(memory, parameters, N, n_kv_head, D, T):
    used, texts = parameters * 2, -1
    while used <= memory:
        used, texts = used + N * (n_kv_head * T * D + n_kv_head * T * D) * 2, texts + 1
    return max(texts, 0)


@right("12.positions_read", way="a loop")
def counted(prompt, new):
    return sum(len(range(prompt + i)) for i in range(new)), prompt + sum(1 for _ in range(1, new))


@right("12.positions_read", way="the triangle's formula")
def by_formula(prompt, new):
    def triangle(n):
        return n * (n + 1) // 2

    return [triangle(prompt + new - 1) - triangle(prompt - 1), prompt - 1 + new]


@right("12.keep_nucleus", way="torch scatter")
def with_scatter(logits, top_p):
    logits = torch.from_numpy(logits)
    p, places = logits.softmax(-1).sort(descending=True)
    goes = p.cumsum(-1) - p >= top_p
    return logits.masked_fill(goes.scatter(-1, places, goes), -torch.inf)


@right("12.keep_nucleus", way="loops")
def token_by_token(logits, top_p):
    out = np.full(logits.shape, -np.inf)
    for b, row in enumerate(logits):
        p = np.exp(row - row.max())
        p = p / p.sum()
        for v in range(len(row)):
            likelier = [u for u in range(len(row)) if p[u] > p[v] or (p[u] == p[v] and u < v)]
            if p[likelier].sum() < top_p:
                out[b, v] = row[v]
    return out


@right("12.stop_at", way="the package's")
def with_the_package(pieces, stop):
    return stop_text(pieces, [stop])


@right("12.stop_at", way="letter by letter")
def letter_by_letter(pieces, stop):
    held = ""
    for piece in pieces:
        out = ""
        for letter in piece:
            held += letter
            while not stop.startswith(held):
                out, held = out + held[0], held[1:]
            if held == stop:
                yield out
                return
        yield out
    yield held


@right("12.stop_at", way="a regular expression")
def with_re(pieces, stop):
    beginnings = "|".join(re.escape(stop[:n]) for n in range(len(stop) - 1, 0, -1))
    buffer = ""
    for piece in pieces:
        buffer += piece
        if match := re.search(re.escape(stop), buffer):
            yield buffer[: match.start()]
            return
        open_end = re.search(f"(?:{beginnings})$", buffer) if beginnings else None
        safe = open_end.start() if open_end else len(buffer)
        if safe:
            yield from buffer[:safe]
        buffer = buffer[safe:]
    yield from buffer


@right("12.beam_search", way="torch topk")
def with_topk(log_p, start, end, width, longest):
    texts, scores = torch.tensor([[start]]), torch.zeros(1, dtype=torch.float64)
    best, best_score = None, -float("inf")
    for _ in range(longest):
        joint = scores[:, None] + torch.as_tensor(log_p(texts.tolist()))
        scores, flat = joint.flatten().topk(min(width, joint.numel()))
        texts = torch.cat([texts[flat // joint.shape[1]], (flat % joint.shape[1])[:, None]], 1)
        ended = texts[:, -1] == end
        if ended.any() and scores[ended].max() > best_score:
            best, best_score = texts[ended][scores[ended].argmax()].tolist(), scores[ended].max().item()
        texts, scores = texts[~ended], scores[~ended]
        if not len(texts):
            break
    return best or texts[scores.argmax()].tolist()


@right("12.beam_search", way="an early end")
def stops_when_nothing_can_win(log_p, start, end, width, longest):
    """Log p only falls: once the best ended text beats all beams, no beam can overtake it."""
    beams, done = {(start,): 0.0}, {}
    for _ in range(longest):
        rows = log_p([list(ids) for ids in beams])
        longer = {
            (*ids, token): score + row[token]
            for (ids, score), row in zip(beams.items(), rows, strict=True)
            for token in range(len(row))
        }
        kept = dict(itertools.islice(sorted(longer.items(), key=lambda item: -item[1]), width))
        done |= {ids: score for ids, score in kept.items() if ids[-1] == end}
        beams = {ids: score for ids, score in kept.items() if ids[-1] != end}
        if not beams or (done and max(done.values()) > max(beams.values())):
            break
    best = done or beams
    return list(max(best, key=best.__getitem__))


@right("12.beam_search", way="full beams")
def fills_up_the_beams(log_p, start, end, width, longest):
    """As many beams go on as before: those let in are less likely than what ended, so none of them wins."""
    beams, done = [(0.0, [start])], []
    for _ in range(longest):
        rows = log_p(np.array([ids for _, ids in beams]))
        longer = sorted(
            (
                (s + x, [*ids, np.int64(t)])
                for (s, ids), row in zip(beams, rows, strict=True)
                for t, x in enumerate(row)
            ),
            reverse=True,
        )
        done += [beam for beam in longer[:width] if beam[1][-1] == end]
        beams = [beam for beam in longer if beam[1][-1] != end][:width]
    return max(done or beams)[1]
