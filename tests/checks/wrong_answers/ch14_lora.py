"""Wrong answers to the exercises of chapter 14."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from tests.checks.answers import wrong


@wrong("14.count_lora", "only_A")
def forgets_the_second_matrix(inputs, outputs, rank):
    A = np.zeros((rank, inputs))
    return inputs * outputs, A.size, inputs * outputs / (inputs + outputs)


@wrong("14.count_lora", "only_B")
def counts_what_starts_at_zero(inputs, outputs, rank):
    return outputs * inputs, outputs * rank, 1 / (1 / inputs + 1 / outputs)


@wrong("14.count_lora", "product")
def rank_full_layers(inputs, outputs, rank):
    layer = inputs * outputs
    return layer, rank * layer, layer / (inputs + outputs)


@wrong("14.count_lora", "square")
def two_equal_matrices(inputs, outputs, rank):
    adapter = rank * inputs + inputs * rank
    return inputs * outputs, adapter, inputs * outputs / (inputs + outputs)


@wrong("14.count_lora", "with_bias")
def linear_as_torch_makes_it(inputs, outputs, rank):
    layer = sum(p.numel() for p in torch.nn.Linear(inputs, outputs).parameters())
    return layer, rank * (inputs + outputs), inputs * outputs / (inputs + outputs)


@wrong("14.count_lora", "whole_rank")
def whole_numbers_only(inputs, outputs, rank):
    total = inputs * outputs
    return total, rank * (inputs + outputs), int(total / (inputs + outputs))


@wrong("14.count_lora", "full_rank")
def rank_of_the_matrix(inputs, outputs, rank):
    full = inputs if inputs < outputs else outputs
    return inputs * outputs, rank * inputs + rank * outputs, full


@wrong("14.count_lora", "ratio")
def times_smaller(inputs, outputs, rank):
    layer, adapter = inputs * outputs, rank * (inputs + outputs)
    return layer, adapter, layer / adapter


@wrong("14.count_lora", "swapped")
def adapter_first(inputs, outputs, rank):
    adapter, layer = rank * (inputs + outputs), inputs * outputs
    return adapter, layer, layer / (inputs + outputs)


@wrong("14.count_lora", "value")
def sum_for_product(inputs, outputs, rank):
    return inputs + outputs, rank * (inputs + outputs), inputs * outputs / (inputs + outputs)


@wrong("14.answer_targets", "no_mask")
def next_ids(ids, assistant, end_assistant):
    return list(ids)[1:]


@wrong("14.answer_targets", "zeros")
def times_the_mask(ids, assistant, end_assistant):
    graded, speaking = [], 0
    for now, after in itertools.pairwise(ids):
        speaking = 1 if now == assistant else 0 if now == end_assistant else speaking
        graded.append(int(after) * speaking)
    return graded


@wrong("14.answer_targets", "late")
def mask_of_what_is_read(ids, assistant, end_assistant):
    inside, mask = False, []
    for token in ids:
        mask.append(inside)
        if token == assistant:
            inside = True
        if token == end_assistant:
            inside = False
    return np.where(mask[:-1], ids[1:], -1)


@wrong("14.answer_targets", "no_end")
def stops_before_the_end(ids, assistant, end_assistant):
    targets, on = [], False
    for t in range(len(ids) - 1):
        if ids[t] == assistant:
            on = True
        if ids[t + 1] == end_assistant:
            on = False
        targets.append(int(ids[t + 1]) if on else -1)
    return targets


@wrong("14.answer_targets", "mark")
def with_its_opening(ids, assistant, end_assistant):
    on, targets = False, []
    for t in range(1, len(ids)):
        if ids[t] == assistant:
            on = True
        targets.append(int(ids[t]) if on else -1)
        if ids[t] == end_assistant:
            on = False
    return targets


@wrong("14.answer_targets", "by_target")
def flag_turned_at_the_target(ids, assistant, end_assistant):
    flag, out = False, np.full(len(ids) - 1, -1)
    for t, following in enumerate(ids[1:]):
        if following in (assistant, end_assistant):
            flag = following == assistant
        if flag:
            out[t] = following
    return out


@wrong("14.answer_targets", "never_closed")
def from_the_first_mark_on(ids, assistant, end_assistant):
    out = np.full(len(ids) - 1, -1)
    places = np.where(ids == assistant)[0]
    if places.size:
        out[places[0] :] = ids[places[0] + 1 :]
    return out


@wrong("14.answer_targets", "first_only")
def index_finds_one(ids, assistant, end_assistant):
    ids = ids.tolist()
    if assistant not in ids:
        return [-1] * (len(ids) - 1)
    begin = ids.index(assistant)
    end = ids.index(end_assistant, begin) if end_assistant in ids[begin:] else len(ids) - 1
    return [-1] * begin + ids[begin + 1 : end + 1] + [-1] * (len(ids) - 1 - end)


@wrong("14.answer_targets", "last_only")
def from_the_last_mark_on(ids, assistant, end_assistant):
    out = np.full(len(ids) - 1, -1)
    places = np.where(ids == assistant)[0]
    if places.size:
        out[places[-1] :] = ids[places[-1] + 1 :]
    return out


@wrong("14.answer_targets", "unfinished")
def pairs_of_marks(ids, assistant, end_assistant):
    out = np.full(len(ids) - 1, -1)
    begins, ends = np.where(ids == assistant)[0], np.where(ids == end_assistant)[0]
    for begin, end in zip(begins, ends, strict=False):
        out[begin:end] = ids[begin + 1 : end + 1]
    return out


@wrong("14.answer_targets", "the_user")
def inverted(ids, assistant, end_assistant):
    opened = np.cumsum(ids == assistant) - np.cumsum(ids == end_assistant)
    return np.where(opened[:-1] == 1, -1, ids[1:])


@wrong("14.answer_targets", "too_long")
def one_for_each_id(ids, assistant, end_assistant):
    opened = np.cumsum(ids == assistant) - np.cumsum(ids == end_assistant)
    answers = np.append(False, opened[:-1] == 1)
    return np.where(answers, ids, -1)


@wrong("14.answer_targets", "raised")
def needs_an_answer(ids, assistant, end_assistant):
    begin = list(ids).index(assistant)
    return [-1] * begin + [int(i) for i in ids[begin + 1 :]]


@wrong("14.merge_adapters", "no_scale")
def products_only(W, adapters):
    for A, B, _alpha in adapters:
        W = W + B @ A
    return W


@wrong("14.merge_adapters", "alpha_alone")
def alpha_as_scale(W, adapters):
    return W + np.sum([alpha * B @ A for A, B, alpha in adapters] or [0 * W], axis=0)


@wrong("14.merge_adapters", "times_rank")
def multiplied_by_the_rank(W, adapters):
    out = np.array(W)
    for A, B, alpha in adapters:
        out += B @ A * alpha * B.shape[1]
    return out


@wrong("14.merge_adapters", "wrong_axis")
def last_axis_of_A(W, adapters):
    return sum((alpha / A.shape[-1] * B @ A for A, B, alpha in adapters), W)


@wrong("14.merge_adapters", "outputs")
def first_axis_of_B(W, adapters):
    return sum((alpha / B.shape[0] * B @ A for A, B, alpha in adapters), W)


@wrong("14.merge_adapters", "first_rank")
def rank_taken_once(W, adapters):
    if not adapters:
        return W
    rank = adapters[0][0].shape[0]
    return W + sum(alpha / rank * np.dot(B, A) for A, B, alpha in adapters)


@wrong("14.merge_adapters", "last_only")
def starts_again_each_time(W, adapters):
    merged = W
    for A, B, alpha in adapters:
        merged = W + alpha / len(A) * B @ A
    return merged


@wrong("14.merge_adapters", "first_only")
def returns_too_soon(W, adapters):
    for A, B, alpha in adapters:
        return W + alpha / len(A) * B @ A
    return W


@wrong("14.merge_adapters", "change_alone")
def forgets_the_base(W, adapters):
    change = np.zeros(W.shape)
    for A, B, alpha in adapters:
        change += alpha / A.shape[0] * np.matmul(B, A)
    return change


@wrong("14.merge_adapters", None)
def mean_of_the_changes(W, adapters):
    return W + np.mean([alpha / len(A) * B @ A for A, B, alpha in adapters], axis=0)


@wrong("14.merge_adapters", "averaged")
def mean_of_the_models(W, adapters):
    models = [W + alpha / len(A) * B @ A for A, B, alpha in adapters]
    return np.mean(models, axis=0) if models else W


@wrong("14.merge_adapters", "base_each_time")
def sum_of_the_models(W, adapters):
    return sum((W + alpha / len(A) * B @ A for A, B, alpha in adapters), 0 * W)


@wrong("14.merge_adapters", "transposed")
def order_of_the_letters(W, adapters):
    for A, B, alpha in adapters:
        W = W + (B @ A).T * (alpha / len(A))
    return W


@wrong("14.merge_adapters", "raised")
def A_before_B(W, adapters):
    for A, B, alpha in adapters:
        W = W + alpha / len(A) * A @ B
    return W


@wrong("14.merge_adapters", "changed_arguments")
def adds_in_place(W, adapters):
    for A, B, alpha in adapters:
        W += alpha / len(A) * B @ A
    return W


@wrong("14.merged_rank", "no_limit_no_sharing")
def adds_up(outputs, inputs, ranks, same_A):
    return sum(ranks)


@wrong("14.merged_rank", "no_limit")
def adds_up_unless_shared(outputs, inputs, ranks, same_A):
    total = 0
    for rank in ranks:
        total = rank if same_A else total + rank
    return total


@wrong("14.merged_rank", "sharing")
def sharing_overlooked(outputs, inputs, ranks, same_A):
    return min([sum(ranks), outputs, inputs])


@wrong("14.merged_rank", "largest")
def the_largest(outputs, inputs, ranks, same_A):
    return min(sorted(ranks)[-1], outputs, inputs)


@wrong("14.merged_rank", "first")
def one_adapter(outputs, inputs, ranks, same_A):
    rank, *_ = ranks
    return min(rank, outputs, inputs)


@wrong("14.merged_rank", "rows_only")
def rows_limit(outputs, inputs, ranks, same_A):
    rank = max(ranks) if same_A else sum(ranks)
    return rank if rank < outputs else outputs


@wrong("14.merged_rank", "columns_only")
def columns_limit(outputs, inputs, ranks, same_A):
    rank = max(ranks) if same_A else sum(ranks)
    return rank if rank < inputs else inputs


@wrong("14.merged_rank", "full")
def full_rank_of_a_matrix(outputs, inputs, ranks, same_A):
    return int(np.linalg.matrix_rank(np.random.default_rng(0).normal(size=(outputs, inputs))))


@wrong("14.merged_rank", "product")
def multiplied(outputs, inputs, ranks, same_A):
    rank = 1
    for r in ranks:
        rank *= r
    return min(outputs, inputs, ranks[-1] if same_A else rank)


@wrong("14.merged_rank", "value")
def a_constant(outputs, inputs, ranks, same_A):
    return 8


@wrong("14.merged_rank", "dtype")
def half_a_rank(outputs, inputs, ranks, same_A):
    return sum(ranks) / len(ranks) if same_A else float(min(sum(ranks), outputs, inputs))


def backward(d_out, x, W, A, B, scale):
    low = d_out @ B
    return d_out @ W + scale * low @ A, scale * low.T @ x, scale * d_out.T @ (x @ A.T)


@wrong("14.lora_backward", "no_scale")
def without_scale(d_out, x, W, A, B, alpha):
    return backward(d_out, x, W, A, B, 1.0)


@wrong("14.lora_backward", "alpha_alone")
def rank_forgotten(d_out, x, W, A, B, alpha):
    return backward(d_out, x, W, A, B, alpha)


@wrong("14.lora_backward", "gradients_unscaled")
def scale_forgotten_in_two(d_out, x, W, A, B, alpha):
    d_x = d_out @ (W + alpha / len(A) * B @ A)
    return d_x, B.T @ d_out.T @ x, d_out.T @ x @ A.T


@wrong("14.lora_backward", "d_x_unscaled")
def scale_forgotten_in_one(d_out, x, W, A, B, alpha):
    s = alpha / A.shape[0]
    return d_out @ (W + B @ A), s * B.T @ d_out.T @ x, s * d_out.T @ x @ A.T


@wrong("14.lora_backward", "d_x_all_scaled")
def scaled_first(d_out, x, W, A, B, alpha):
    d = d_out * alpha / B.shape[-1]
    return d @ (W + B @ A), (d @ B).T @ x, d.T @ (x @ A.T)


@wrong("14.lora_backward", "no_frozen_way")
def frozen_means_no_gradient(d_out, x, W, A, B, alpha):
    x, W, A, B, d_out = map(torch.from_numpy, (x, W, A, B, d_out))
    x, A, B = (leaf.requires_grad_() for leaf in (x.clone(), A.clone(), B.clone()))
    out = (x.detach() @ W.T) + alpha / len(A) * (x @ A.T @ B.T)
    return torch.autograd.grad(out, (x, A, B), d_out)


@wrong("14.lora_backward", "no_adapter_way")
def only_through_the_base(d_out, x, W, A, B, alpha):
    _, d_A, d_B = backward(d_out, x, W, A, B, alpha / len(A))
    return d_out @ W, d_A, d_B


@wrong("14.lora_backward", "swapped")
def in_order_of_computing(d_out, x, W, A, B, alpha):
    d_x, d_A, d_B = backward(d_out, x, W, A, B, alpha / len(A))
    return d_x, d_B, d_A


@wrong("14.lora_backward", "transposed")
def as_x_comes_in(d_out, x, W, A, B, alpha):
    s = alpha / len(A)
    return d_out @ (W + s * B @ A), s * x.T @ d_out @ B, s * (x @ A.T).T @ d_out


@wrong("14.lora_backward", "zero_A")
def believes_that_B_is_zero(d_out, x, W, A, B, alpha):
    d_x, _, d_B = backward(d_out, x, W, A, B, alpha / len(A))
    return d_x, np.zeros_like(A), d_B


@wrong("14.lora_backward", "averaged")
def mean_over_the_rows(d_out, x, W, A, B, alpha):
    d_x, d_A, d_B = backward(d_out, x, W, A, B, alpha / len(A))
    return d_x, d_A / x.shape[0], d_B / x.shape[0]


@wrong("14.lora_backward", "x_alone")
def B_reads_x(d_out, x, W, A, B, alpha):
    d_x, d_A, _ = backward(d_out, x, W, A, B, alpha / len(A))
    return d_x, d_A, alpha / len(A) * np.einsum("to,ti->oi", d_out, x)


@wrong("14.lora_backward", "W_transposed")
def weights_transposed(d_out, x, W, A, B, alpha):
    s = alpha / len(A)
    return d_out @ W.T + s * d_out @ B @ A, s * (d_out @ B).T @ x, s * d_out.T @ (x @ A.T)


def decomposed(A, B):
    return np.linalg.svd(np.matmul(B, A), full_matrices=False)


@wrong("14.cut_adapter", "first_rows")
def cut_off_the_rest(A, B, rank):
    return A[:rank, :].copy(), B[:, :rank].copy()


@wrong("14.cut_adapter", "no_strength")
def directions_only(A, B, rank):
    U, _, Vt = decomposed(A, B)
    return Vt[:rank], U[:, :rank]


@wrong("14.cut_adapter", "root_once")
def half_the_strength(A, B, rank):
    U, S, Vt = decomposed(A, B)
    return Vt[:rank], U[:, :rank] @ np.diag(np.sqrt(S[:rank]))


@wrong("14.cut_adapter", None)
def strength_in_both(A, B, rank):
    U, S, Vt = decomposed(A, B)
    return S[:rank, None] * Vt[:rank], U[:, :rank] * S[:rank]


@wrong("14.cut_adapter", "each_alone")
def one_by_one(A, B, rank):
    U, S, _ = np.linalg.svd(B, full_matrices=False)
    _, s, Vt = np.linalg.svd(A, full_matrices=False)
    return np.diag(s[:rank]) @ Vt[:rank], U[:, :rank] @ np.diag(S[:rank])


@wrong("14.cut_adapter", "filtered_alone")
def both_filtered(A, B, rank):
    out = []
    for matrix in (A, B):
        U, S, Vt = np.linalg.svd(matrix, full_matrices=False)
        S[rank:] = 0
        out.append(U @ np.diag(S) @ Vt)
    return tuple(out)


@wrong("14.cut_adapter", "smallest")
def sorted_upwards(A, B, rank):
    U, S, Vt = decomposed(A, B)
    keep = np.arange(len(A))[-rank:]
    return Vt[keep], U[:, keep] * S[keep]


@wrong("14.cut_adapter", "columns_of_v")
def v_not_transposed(A, B, rank):
    U, S, V = np.linalg.svd(B @ A)
    return V.T[:rank], U[:, :rank] * S[:rank]


@wrong("14.cut_adapter", "swapped")
def B_first(A, B, rank):
    U, S, Vt = decomposed(A, B)
    return U[:, :rank] * S[:rank], Vt[:rank]


@wrong("14.cut_adapter", "transposed")
def thin_and_tall(A, B, rank):
    U, S, Vt = decomposed(A, B)
    return Vt[:rank].T, (U[:, :rank] * S[:rank]).T


@wrong("14.cut_adapter", "uncut")
def as_it_was(A, B, rank):
    return A, B


@wrong("14.cut_adapter", "zeroed")
def zeros_left_in_place(A, B, rank):
    U, S, Vt = decomposed(A, B)
    S[rank:] = 0
    return Vt[: len(A)], (U * S)[:, : len(A)]


@wrong("14.cut_adapter", "type")
def product_only(A, B, rank):
    U, S, Vt = decomposed(A, B)
    return (U[:, :rank] * S[:rank]) @ Vt[:rank]
