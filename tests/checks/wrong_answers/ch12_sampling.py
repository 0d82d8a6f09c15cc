"""Wrong answers to the exercises of chapter 12."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.checks.answers import wrong


@wrong("12.texts_that_fit", "keys_only")
def forgot_values(memory, parameters, N, n_kv_head, D, T):
    cache = N * T * n_kv_head * D * 2
    return max(0, (memory - 2 * parameters) // cache)


@wrong("12.texts_that_fit", "no_weights")
def caches_only(memory, parameters, N, n_kv_head, D, T):
    return memory // (2 * N * T * n_kv_head * D * 2)


@wrong("12.texts_that_fit", "weights_as_bytes")
def parameters_as_bytes(memory, parameters, N, n_kv_head, D, T):
    return max(0, (memory - parameters) // (4 * N * T * n_kv_head * D))


@wrong("12.texts_that_fit", "negative")
def below_zero(memory, parameters, N, n_kv_head, D, T):
    free = memory - 2 * parameters
    return free // (4 * N * T * n_kv_head * D)


@wrong("12.texts_that_fit", "rounded")
def nearest(memory, parameters, N, n_kv_head, D, T):
    return max(0, int(np.rint((memory - 2 * parameters) / (4 * N * T * n_kv_head * D))))


@wrong("12.texts_that_fit", "rounded_up")
def with_ceil(memory, parameters, N, n_kv_head, D, T):
    return max(0, math.ceil((memory - 2 * parameters) / (4 * N * T * n_kv_head * D)))


@wrong("12.texts_that_fit", "weights_each")
def a_model_for_each_text(memory, parameters, N, n_kv_head, D, T):
    needs = 2 * parameters + 4 * N * T * n_kv_head * D
    return memory // needs


@wrong("12.texts_that_fit", "one_layer")
def without_layers(memory, parameters, N, n_kv_head, D, T):
    return max(0, (memory - 2 * parameters) // (4 * T * n_kv_head * D))


@wrong("12.texts_that_fit", "one_position")
def without_positions(memory, parameters, N, n_kv_head, D, T):
    return max(0, (memory - 2 * parameters) // (4 * N * n_kv_head * D))


@wrong("12.texts_that_fit", "dtype")
def parts_of_texts(memory, parameters, N, n_kv_head, D, T):
    return max(0, (memory - 2 * parameters) / (4 * N * T * n_kv_head * D))


@wrong("12.positions_read", "last_is_read")
def reads_what_it_wrote(prompt, new):
    return sum(prompt + i for i in range(new)), prompt + new


@wrong("12.positions_read", "cache_without_prompt")
def prompt_for_nothing(prompt, new):
    return sum(range(prompt, prompt + new)), new


@wrong("12.positions_read", "one_ahead")
def reads_including_the_new(prompt, new):
    return sum(prompt + i for i in range(1, new + 1)), prompt + new - 1


@wrong("12.positions_read", "both_one_ahead")
def one_more_each(prompt, new):
    return new * prompt + new * (new + 1) // 2, prompt + new


@wrong("12.positions_read", "whole_triangle")
def formula_of_the_chapter(prompt, new):
    T = prompt + new
    return T * (T + 1) // 2, T - 1


@wrong("12.positions_read", "prompt_once")
def prompt_and_triangle(prompt, new):
    return prompt + sum(range(new)), prompt + new - 1


@wrong("12.positions_read", "constant_length")
def rectangle(prompt, new):
    return prompt * new, prompt + new - 1


@wrong("12.positions_read", "always_full")
def padded(prompt, new):
    full = prompt + new - 1
    return full * new, full


@wrong("12.positions_read", "exchanged")
def with_before_without(prompt, new):
    return prompt + new - 1, sum(prompt + i for i in range(new))


@wrong("12.positions_read", "type")
def ratio(prompt, new):
    return sum(prompt + i for i in range(new)) / (prompt + new - 1)


def softmax(z):
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@wrong("12.keep_nucleus", "drops_crossing")
def without_the_crossing(logits, top_p):
    out = logits.copy()
    for row in out:
        order = row.argsort()[::-1]
        row[order[softmax(row)[order].cumsum() > top_p]] = -np.inf
    return out


@wrong("12.keep_nucleus", "unsorted")
def in_token_order(logits, top_p):
    p = softmax(logits)
    return np.where(p.cumsum(1) - p < top_p, logits, -np.inf)


@wrong("12.keep_nucleus", "left_sorted")
def torch_sorted(logits, top_p):
    z, _ = torch.from_numpy(logits).sort(descending=True)
    p = z.softmax(-1)
    return z.masked_fill(p.cumsum(-1) - p >= top_p, -torch.inf)


@wrong("12.keep_nucleus", "order_not_undone")
def no_scatter(logits, top_p):
    p, _ = torch.from_numpy(logits).softmax(-1).sort(descending=True)
    return torch.from_numpy(logits).masked_fill(p.cumsum(-1) - p >= top_p, -torch.inf)


@wrong("12.keep_nucleus", "least_likely")
def upwards(logits, top_p):
    out = np.full_like(logits, -np.inf)
    for b in range(len(logits)):
        total, p = 0.0, softmax(logits[b])
        for token in np.argsort(logits[b]):
            if total < top_p:
                out[b, token] = logits[b, token]
            total += p[token]
    return out


@wrong("12.keep_nucleus", "zero")
def multiplies(logits, top_p):
    order = np.argsort(-logits, axis=1)
    p = np.take_along_axis(softmax(logits), order, 1)
    kept = np.zeros(logits.shape, bool)
    np.put_along_axis(kept, order, np.cumsum(p, 1) - p < top_p, 1)
    return np.where(kept, logits, 0)


@wrong("12.keep_nucleus", "probabilities")
def returns_p(logits, top_p):
    order = np.argsort(-logits, axis=1)
    p = softmax(logits)
    ranked = np.take_along_axis(p, order, 1)
    gone = np.take_along_axis(ranked.cumsum(1) - ranked >= top_p, order.argsort(1), 1)
    p[gone] = 0
    return p


@wrong("12.keep_nucleus", "over_batch")
def one_sum_for_all(logits, top_p):
    p = np.exp(logits - logits.max())
    p /= p.sum()
    order = np.argsort(-p, axis=1)
    ranked = np.take_along_axis(p, order, 1)
    kept = np.take_along_axis(ranked.cumsum(1) - ranked < top_p, order.argsort(1), 1)
    return np.where(kept, logits, -np.inf)


@wrong("12.keep_nucleus", "all_kept_at_overflow")
def naive_exp(logits, top_p):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    order = np.argsort(-logits, axis=1)
    ranked = np.take_along_axis(p, order, 1)
    goes = np.take_along_axis(ranked.cumsum(1) - ranked >= top_p, order.argsort(1), 1)
    return np.where(goes, -np.inf, logits)


@wrong("12.keep_nucleus", "changed_arguments")
def writes_into_the_logits(logits, top_p):
    for row in logits:
        order = np.argsort(-row)
        p = softmax(row)[order]
        row[order[np.cumsum(p) - p >= top_p]] = -np.inf
    return logits


@wrong("12.stop_at", "each_piece")
def looks_in_the_piece(pieces, stop):
    for piece in pieces:
        before, found, _ = piece.partition(stop)
        yield before
        if found:
            break


@wrong("12.stop_at", "shown_at_once")
def remembers_but_shows(pieces, stop):
    text = ""
    for piece in pieces:
        text = text + piece
        place = text.find(stop)
        if place >= 0:
            yield piece[: max(0, place - len(text) + len(piece))]
            return
        yield piece


@wrong("12.stop_at", "waits_for_all")
def joins(pieces, stop):
    yield "".join(pieces).split(stop)[0]


@wrong("12.stop_at", "waits_for_all")
def returns_a_list(pieces, stop):
    text = "".join(list(pieces))
    place = text.find(stop)
    return list(text if place < 0 else text[:place])


def longest_end(text, stop):
    return next((n for n in range(len(stop) - 1, 0, -1) if text.endswith(stop[:n])), 0)


@wrong("12.stop_at", "rest_missing")
def forgets_the_rest(pieces, stop):
    buffer = ""
    for piece in pieces:
        buffer += piece
        if stop in buffer:
            yield buffer[: buffer.find(stop)]
            return
        n = len(buffer) - longest_end(buffer, stop)
        yield buffer[:n]
        buffer = buffer[n:]


@wrong("12.stop_at", "stop_included")
def shows_the_stop(pieces, stop):
    buffer = ""
    for piece in pieces:
        buffer += piece
        if stop in buffer:
            yield buffer[: buffer.find(stop) + len(stop)]
            return
        n = len(buffer) - longest_end(buffer, stop)
        yield buffer[:n]
        buffer = buffer[n:]
    yield buffer


@wrong("12.stop_at", "text_before_lost")
def returns_at_once(pieces, stop):
    buffer = ""
    for piece in pieces:
        buffer += piece
        if buffer.find(stop) != -1:
            return
        n = len(buffer) - longest_end(buffer, stop)
        yield buffer[:n]
        buffer = buffer[n:]
    yield buffer


@wrong("12.stop_at", "holds_too_much")
def always_the_same_number(pieces, stop):
    buffer, keep = "", len(stop) - 1
    for piece in pieces:
        buffer += piece
        if stop in buffer:
            yield buffer.partition(stop)[0]
            return
        if len(buffer) > keep:
            yield buffer[: len(buffer) - keep]
            buffer = buffer[len(buffer) - keep :]
    yield buffer


@wrong("12.stop_at", "holds_one")
def first_letter_only(pieces, stop):
    buffer = ""
    for piece in pieces:
        buffer += piece
        if stop in buffer:
            yield buffer.partition(stop)[0]
            return
        if len(stop) > 1 and buffer[-1:] == stop[0]:
            yield buffer[:-1]
            buffer = stop[0]
        else:
            yield buffer
            buffer = ""
    yield buffer


@wrong("12.stop_at", "holds_shortest")
def counts_upwards(pieces, stop):
    buffer = ""
    for piece in pieces:
        buffer += piece
        if stop in buffer:
            yield buffer.partition(stop)[0]
            return
        held = 0
        for n in range(1, len(stop)):
            if buffer[-n:] == stop[:n]:
                held = n
                break
        yield buffer[: len(buffer) - held]
        buffer = buffer[len(buffer) - held :]
    yield buffer


@wrong("12.stop_at", "slice_of_short_text")
def ends_by_slices(pieces, stop):
    waiting = ""
    for piece in pieces:
        waiting += piece
        if stop in waiting:
            yield waiting.partition(stop)[0]
            return
        held = next((n for n in range(len(stop) - 1, 0, -1) if stop.startswith(waiting[-n:])), 0)
        safe = len(waiting) - held
        if safe > 0:
            yield waiting[:safe]
        waiting = waiting[safe:]
    yield waiting


@wrong("12.stop_at", "asks_on")
def sets_a_flag(pieces, stop):
    buffer, done = "", False
    for piece in pieces:
        if done:
            continue
        buffer += piece
        if stop in buffer:
            done = True
            yield buffer.partition(stop)[0]
        else:
            n = len(buffer) - longest_end(buffer, stop)
            yield buffer[:n]
            buffer = buffer[n:]
    if not done:
        yield buffer


@wrong("12.beam_search", "greedy")
def takes_the_best(log_p, start, end, width, longest):
    ids = [start]
    for _ in range(longest):
        ids.append(int(np.argmax(log_p([ids])[0])))
        if ids[-1] == end:
            break
    return ids


def search(log_p, start, end, width, longest, add=True, key=lambda b: b[0], keep=None, until_first=False):
    beams, done = [(0.0, [start])], []
    for _ in range(longest):
        scores = log_p([b[1] for b in beams])
        longer = []
        for (score, ids), row in zip(beams, scores, strict=True):
            for token, value in enumerate(row):
                longer.append((score + value if add else value, [*ids, token]))
        longer.sort(key=lambda b: -b[0])
        beams = []
        for beam in longer[: keep or width]:
            (done if beam[1][-1] == end else beams).append(beam)
        if not beams or (until_first and done):
            break
    return max(done or beams, key=key)[1]


@wrong("12.beam_search", "all_kept")
def width_for_each_beam(log_p, start, end, width, longest):
    return search(log_p, start, end, width, longest, keep=1000)


@wrong("12.beam_search", "not_added")
def last_step_only(log_p, start, end, width, longest):
    return search(log_p, start, end, width, longest, add=False)


@wrong("12.beam_search", "first_end")
def stops_at_the_first(log_p, start, end, width, longest):
    return search(log_p, start, end, width, longest, until_first=True)


@wrong("12.beam_search", "mean")
def by_length(log_p, start, end, width, longest):
    return search(log_p, start, end, width, longest, key=lambda b: b[0] / (len(b[1]) - 1))


@wrong("12.beam_search", "no_start")
def new_tokens_only(log_p, start, end, width, longest):
    return search(log_p, start, end, width, longest)[1:]


@wrong("12.beam_search", "worst")
def ascending(log_p, start, end, width, longest):
    beams, done = [(0.0, [start])], []
    for _ in range(longest):
        scores = log_p([ids for _, ids in beams])
        longer = sorted(
            (s + row[t], [*ids, t])
            for (s, ids), row in zip(beams, scores, strict=True)
            for t in range(len(row))
        )[:width]
        done += [b for b in longer if b[1][-1] == end]
        beams = [b for b in longer if b[1][-1] != end]
        if not beams:
            break
    return max(done or beams)[1]


@wrong("12.beam_search", "ends_ignored")
def never_ends(log_p, start, end, width, longest):
    beams = [(0.0, [start])]
    for _ in range(longest):
        scores = log_p([ids for _, ids in beams])
        longer = [
            (s + scores[i][t], [*ids, t]) for i, (s, ids) in enumerate(beams) for t in range(len(scores[i]))
        ]
        beams = sorted(longer, reverse=True)[:width]
    return beams[0][1]


@wrong("12.beam_search", None)
def with_the_score(log_p, start, end, width, longest):
    ids = search(log_p, start, end, width, longest)
    return 0.0, np.array(ids)
