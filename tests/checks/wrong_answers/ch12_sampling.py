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


@wrong("12.texts_that_fit", "cut_toward_zero")
def int_of_a_quotient(memory, parameters, N, n_kv_head, D, T):
    return int((memory - 2 * parameters) / (4 * N * T * n_kv_head * D))


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


@wrong("12.positions_read", "chapters_formulas")
def both_formulas_of_the_chapter(prompt, new):
    T = prompt + new
    return sum(range(1, T + 1)), T


@wrong("12.positions_read", "new_only")
def prompt_left_out(prompt, new):
    return sum(i + 1 for i in range(new)), new


@wrong("12.positions_read", "one_round_more")
def reads_once_more(prompt, new):
    lengths = [prompt + i for i in range(new + 1)]
    return sum(lengths), lengths[-1]


@wrong("12.positions_read", "one_round_less")
def first_one_for_nothing(prompt, new):
    return sum(prompt + i for i in range(new - 1)), prompt + new - 2


@wrong("12.positions_read", "always_finished")
def as_long_as_the_result(prompt, new):
    return new * (prompt + new), prompt + new - 1


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


def decide(logits, stays):
    order = np.argsort(-logits, axis=-1)
    p = np.take_along_axis(softmax(logits), order, axis=-1)
    kept = np.empty(logits.shape, bool)
    np.put_along_axis(kept, order, stays(p), axis=-1)
    return np.where(kept, logits, -np.inf)


@wrong("12.keep_nucleus", "drops_crossing_beyond_the_least")
def one_stays_for_the_setting(logits, top_p):
    return decide(logits, lambda p: (np.cumsum(p, -1) <= top_p) | (np.arange(p.shape[1]) < 1))


@wrong("12.keep_nucleus", "drops_crossing_strict")
def below_the_line(logits, top_p):
    return decide(logits, lambda p: p.cumsum(-1) < top_p)


@wrong("12.keep_nucleus", "sums_down")
def along_the_batch(logits, top_p):
    def stays(p):
        kept = np.cumsum(p, axis=0) - p < top_p
        kept[:, 0] = True
        return kept

    return decide(logits, stays)


@wrong("12.keep_nucleus", "first_columns")
def first_column_of_the_result(logits, top_p):
    out = decide(logits, lambda p: np.cumsum(p, -1) - p < top_p)
    out[:, :1] = logits[:, :1]
    return out


@wrong("12.keep_nucleus", "sums_logits")
def without_softmax(logits, top_p):
    order = np.argsort(-logits, -1)
    ranked = np.take_along_axis(logits, order, -1)
    stays = np.cumsum(ranked, -1) - ranked < top_p
    stays[:, 0] = True
    return np.where(np.take_along_axis(stays, order.argsort(-1), -1), logits, -np.inf)


@wrong("12.keep_nucleus", "sorted_twice")
def takes_by_the_order(logits, top_p):
    order = np.argsort(-logits, -1)
    p = np.take_along_axis(softmax(logits), order, -1)
    return np.where(np.take_along_axis(p.cumsum(-1) - p < top_p, order, -1), logits, -np.inf)


@wrong("12.keep_nucleus", "nothing_cut")
def changes_nothing(logits, top_p):
    return logits.copy()


@wrong("12.keep_nucleus", "probabilities_shared_out")
def ready_to_draw(logits, top_p):
    return softmax(decide(logits, lambda p: np.cumsum(p, -1) - p < top_p))


@wrong("12.keep_nucleus", "log_probabilities")
def log_of_the_nucleus(logits, top_p):
    kept = torch.from_numpy(decide(logits, lambda p: np.cumsum(p, -1) - p < top_p))
    return kept.log_softmax(-1)


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


@wrong("12.stop_at", "each_piece_whole")
def loop_of_the_chapter(pieces, stop):
    for piece in pieces:
        if stop in piece:
            break
        yield piece


@wrong("12.stop_at", "list_of_parts")
def collects_parts(pieces, stop):
    parts, buffer = [], ""
    for piece in pieces:
        buffer += piece
        if stop in buffer:
            return [*parts, buffer.split(stop)[0]]
        n = len(buffer) - longest_end(buffer, stop)
        parts.append(buffer[:n])
        buffer = buffer[n:]
    return [*parts, buffer]


@wrong("12.stop_at", "minus_zero")
def slices_to_minus_held(pieces, stop):
    buffer = ""
    for piece in pieces:
        buffer += piece
        if stop in buffer:
            yield buffer.split(stop)[0]
            return
        held = longest_end(buffer, stop)
        yield buffer[:-held]
        buffer = buffer[-held:]
    yield buffer


@wrong("12.stop_at", "last_place")
def cuts_at_the_last(pieces, stop):
    buffer = ""
    for piece in pieces:
        buffer += piece
        if buffer.rfind(stop) >= 0:
            yield buffer[: buffer.rfind(stop)]
            return
        n = len(buffer) - longest_end(buffer, stop)
        yield buffer[:n]
        buffer = buffer[n:]
    yield buffer


@wrong("12.stop_at", "rest_after_stop")
def breaks_and_empties(pieces, stop):
    buffer = ""
    for piece in pieces:
        buffer += piece
        if stop in buffer:
            yield buffer.split(stop)[0]
            break
        n = len(buffer) - longest_end(buffer, stop)
        yield buffer[:n]
        buffer = buffer[n:]
    yield buffer


@wrong("12.stop_at", "one_late")
def asks_first(pieces, stop):
    ready = None
    for piece in pieces:
        if ready is None:
            ready = piece
            continue
        if stop in ready:
            yield ready.split(stop)[0]
            return
        n = len(ready) - longest_end(ready, stop)
        yield ready[:n]
        ready = ready[n:] + piece
    yield (ready or "").split(stop)[0]


@wrong("12.stop_at", "one_piece_back")
def pairs_of_pieces(pieces, stop):
    before = ""
    for piece in pieces:
        both = before + piece
        if stop in both:
            yield both[: both.index(stop)]
            return
        yield before
        before = piece
    yield before


@wrong("12.stop_at", "from_first_letter")
def waits_at_the_first_letter(pieces, stop):
    buffer = ""
    for piece in pieces:
        buffer += piece
        if stop in buffer:
            yield buffer.split(stop)[0]
            return
        before, letter, after = buffer.partition(stop[0])
        yield before
        buffer = letter + after
    yield buffer


@wrong("12.stop_at", "restarts")
def counts_letters(pieces, stop):
    matched = ""
    for piece in pieces:
        for letter in piece:
            if stop.startswith(matched + letter):
                matched += letter
            elif letter == stop[0]:
                yield matched
                matched = letter
            else:
                yield matched + letter
                matched = ""
            if matched == stop:
                return
    yield matched


@wrong("12.stop_at", "restarts_after")
def throws_out_the_letter(pieces, stop):
    matched = ""
    for piece in pieces:
        for letter in piece:
            matched += letter
            if matched == stop:
                return
            if not stop.startswith(matched):
                yield matched
                matched = ""
    yield matched


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


@wrong("12.beam_search", "no_end")
def text_before_the_end(log_p, start, end, width, longest):
    ids = search(log_p, start, end, width, longest)
    return ids[: 1 + ids[1:].index(end)] if end in ids[1:] else ids


@wrong("12.beam_search", "with_log_p")
def pair_of_both(log_p, start, end, width, longest):
    ids = search(log_p, start, end, width, longest)
    return sum(log_p([ids[:i]])[0, ids[i]] for i in range(1, len(ids))), ids


@wrong("12.beam_search")  # often the same text as by the mean
def by_length_with_start(log_p, start, end, width, longest):
    return search(log_p, start, end, width, longest, key=lambda b: b[0] / len(b[1]))


@wrong("12.beam_search", "a_round_less")
def rounds_are_letters(log_p, start, end, width, longest):
    return search(log_p, start, end, width, longest - 1)


@wrong("12.beam_search", "a_round_more")
def one_more_round(log_p, start, end, width, longest):
    return search(log_p, start, end, width, longest + 1)


def in_short(log_p, start, end, width, longest, best, answer):
    beams, done = [(0.0, [start])], []
    for _ in range(longest):
        rows = log_p([ids for _, ids in beams])
        kept = best([[(s + x, [*ids, t]) for t, x in enumerate(rows[i])] for i, (s, ids) in enumerate(beams)])
        done += [b for b in kept if b[1][-1] == end]
        beams = [b for b in kept if b[1][-1] != end][:width]
        if not beams and answer != "no break":
            break
    return max(done + beams if answer == "both" else done if answer == "done" else done or beams)[1]


def likeliest(width):
    return lambda rows: sorted((beam for row in rows for beam in row), reverse=True)[:width]


@wrong("12.beam_search", "also_unfinished")
def all_compete(log_p, start, end, width, longest):
    return in_short(log_p, start, end, width, longest, likeliest(width), "both")


@wrong("12.beam_search", "ended_only")
def none_may_have_ended(log_p, start, end, width, longest):
    return in_short(log_p, start, end, width, longest, likeliest(width), "done")


@wrong("12.beam_search", "all_ended")
def extends_nothing(log_p, start, end, width, longest):
    return in_short(log_p, start, end, width, longest, likeliest(width), "no break")


@wrong("12.beam_search")  # often the same text as with all kept
def every_end(log_p, start, end, width, longest):
    return in_short(log_p, start, end, width, longest, likeliest(None), "")


@wrong("12.beam_search", "each_its_own")
def one_child_each(log_p, start, end, width, longest):
    def best(rows):
        return sorted(rows[0])[::-1][:width] if rows[0][0][1][:-1] == [start] else [max(row) for row in rows]

    return in_short(log_p, start, end, width, longest, best, "")


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
