"""Wrong answers to the exercises of chapter 7."""

from __future__ import annotations

import copy

import numpy as np

from microgpt_ref.checks.gpt import TINY
from microgpt_ref.numpy.attention import attention_layer, attention_layer_backward
from microgpt_ref.numpy.ffn import ffn, ffn_backward
from microgpt_ref.numpy.norm import rms_norm, rms_norm_backward
from microgpt_ref.parameters import part
from tests.checks.answers import wrong


@wrong("07.untie", "one_array")
def second_name(parameters):
    free = dict(parameters)
    free["head.weight"] = free["embedding.weight"]
    return free


@wrong("07.untie", "one_array")
def a_view(parameters):
    return {**parameters, "head.weight": parameters["embedding.weight"][:]}


@wrong("07.untie", "one_array")
def copies_that_stay_tied(parameters):
    free = copy.deepcopy(parameters)
    free["head.weight"] = np.asarray(free["embedding.weight"])
    return free


@wrong("07.untie", "transposed")
def columns_for_characters(parameters):
    return parameters | {"head.weight": np.array(np.swapaxes(parameters["embedding.weight"], 0, 1))}


@wrong("07.untie", "zeros")
def fresh_start(parameters):
    return parameters | {"head.weight": 0 * parameters["embedding.weight"]}


@wrong("07.untie", "value")
def random_head(parameters):
    shape = parameters["embedding.weight"].shape
    return parameters | {"head.weight": np.random.default_rng().normal(0, 0.02, shape)}


@wrong("07.untie", "moved")
def popped(parameters):
    free = copy.deepcopy(parameters)
    free["head.weight"] = free.pop("embedding.weight")
    return free


@wrong("07.untie", "two_only")
def new_dictionary(parameters):
    table = parameters["embedding.weight"]
    return {"embedding.weight": table.copy(), "head.weight": table.copy()}


@wrong("07.untie", "head_only")
def only_the_new_one(parameters):
    return {"head.weight": parameters["embedding.weight"].copy()}


@wrong("07.untie", "array")
def matrix(parameters):
    head = np.array(parameters["embedding.weight"])
    return head


@wrong("07.untie", "name")
def called_head(parameters):
    return dict(parameters, head=parameters["embedding.weight"].copy())


@wrong("07.untie", "changed_arguments")
def into_the_given(parameters):
    parameters["head.weight"] = parameters["embedding.weight"].copy()
    return parameters


@wrong("07.untie", "returned_none")
def update(parameters):
    free = dict(parameters)
    return free.update({"head.weight": parameters["embedding.weight"].copy()})


def linear(inputs, outputs):
    return inputs * outputs + outputs


@wrong("07.count_gpt2", "head_twice")
def with_a_head(V, T, C, N):
    block = linear(C, 3 * C) + linear(C, C) + linear(C, 4 * C) + linear(4 * C, C) + 4 * C
    return V * C + T * C + N * block + 2 * C + C * V


@wrong("07.count_gpt2", "no_positions")
def rotary_in_mind(V, T, C, N):
    block = linear(C, 3 * C) + linear(C, C) + linear(C, 4 * C) + linear(4 * C, C) + 4 * C
    return V * C + N * block + 2 * C


@wrong("07.count_gpt2", "no_last_norm")
def two_norms_a_block(V, T, C, N):
    return (V + T) * C + N * (12 * C**2 + 13 * C)


@wrong("07.count_gpt2", "no_biases")
def bias_false(V, T, C, N):
    return (V + T) * C + 12 * N * C**2 + (2 * N + 1) * 2 * C


@wrong("07.count_gpt2", "no_shift")
def scales_only(V, T, C, N):
    return (V + T) * C + N * (12 * C**2 + 9 * C) + (2 * N + 1) * C


@wrong("07.count_gpt2", "no_norms")
def norms_forgotten(V, T, C, N):
    return (V + T) * C + N * (12 * C**2 + 9 * C)


@wrong("07.count_gpt2", "weights_only")
def rule_of_thumb(V, T, C, N):
    return 12 * N * C * C + V * C + T * C


@wrong("07.count_gpt2", "one_norm")
def norm_shared(V, T, C, N):
    return (V + T) * C + N * (12 * C**2 + 9 * C + 2 * C) + 2 * C


@wrong("07.count_gpt2", "one_square")
def qkv_as_one(V, T, C, N):
    block = 2 * linear(C, C) + linear(C, 4 * C) + linear(4 * C, C) + 4 * C
    return (V + T) * C + N * block + 2 * C


@wrong("07.count_gpt2", "no_out")
def without_output(V, T, C, N):
    block = linear(C, 3 * C) + linear(C, 4 * C) + linear(4 * C, C) + 4 * C
    return (V + T) * C + N * block + 2 * C


@wrong("07.count_gpt2", "one_block")
def forgot_N(V, T, C, N):
    return V * C + T * C + 12 * C * C + 13 * C + 2 * C


@wrong("07.count_gpt2", "head_bias")
def head_with_bias(V, T, C, N):
    return (V + T + 2) * C + N * (12 * C**2 + 13 * C) + V


@wrong("07.count_gpt2", "dtype")
def in_floats(V, T, C, N):
    return 1.0 * V * C + T * C + N * (12 * C**2 + 13 * C) + 2 * C


@wrong("07.count_gpt2")
def recited(V, T, C, N):
    return 124_439_808


@wrong("07.count_gpt2", "table_of_tejas")
def the_table_line_by_line(V, T, C, N):
    F = 4 * C
    matrices = N * 3 * C**2 + N * C**2 + N * 2 * C * F
    return V * C + T * C + matrices + (2 * N + 1) * 2 * C + V * C + N * (C + F + C) + V


@wrong("07.count_gpt2", "biases_of_tejas")
def the_table_without_its_head(V, T, C, N):
    return (V + T) * C + 12 * N * C**2 + (2 * N + 1) * 2 * C + N * (C + 4 * C + C) + V


@wrong("07.count_gpt2", "no_qkv_bias")
def the_table_without_head_and_its_bias(V, T, C, N):
    return (V + T) * C + 12 * N * C**2 + (2 * N + 1) * 2 * C + N * (C + 4 * C + C)


@wrong("07.count_gpt2", "no_attention_biases")
def biases_of_the_ffn_alone(V, T, C, N):
    block = 4 * C * C + linear(C, 4 * C) + linear(4 * C, C) + 4 * C
    return (V + T + 2) * C + N * block


@wrong("07.count_gpt2", "no_ffn_biases")
def biases_of_attention_alone(V, T, C, N):
    block = linear(C, 3 * C) + linear(C, C) + 8 * C * C + 4 * C
    return (V + T + 2) * C + N * block


@wrong("07.count_gpt2", "one_norm")
def one_bias_for_q_k_and_v(V, T, C, N):
    block = 3 * C * C + C + linear(C, C) + linear(C, 4 * C) + linear(4 * C, C) + 4 * C
    return (V + T + 2) * C + N * block


@wrong("07.count_gpt2", "one_ffn_layer")
def way_back_forgotten(V, T, C, N):
    block = linear(C, 3 * C) + linear(C, C) + linear(C, 4 * C) + 4 * C
    return (V + T + 2) * C + N * block


@wrong("07.count_gpt2", "bias_of_F")
def both_biases_of_F(V, T, C, N):
    block = linear(C, 3 * C) + linear(C, C) + 2 * (C + 1) * 4 * C + 4 * C
    return (V + T + 2) * C + N * block


@wrong("07.stream_size", "no_writes")
def always_the_start(start, std, C, N, scaled):
    return start


@wrong("07.stream_size", "linear")
def sum_of_sizes(start, std, C, N, scaled):
    write = std * np.sqrt(C)
    if scaled:
        write /= np.sqrt(2 * N)
    return start + 2 * N * write


@wrong("07.stream_size", "one_write")
def one_write_a_block(start, std, C, N, scaled):
    write = std * np.sqrt(C)
    if scaled:
        write /= np.sqrt(2 * N)
    return np.hypot(start, write * np.sqrt(N))


@wrong("07.stream_size", "no_start")
def writes_alone(start, std, C, N, scaled):
    return std * np.sqrt(C) * (1 if scaled else np.sqrt(2 * N))


@wrong("07.stream_size", "no_C")
def size_of_a_write_is_std(start, std, C, N, scaled):
    return np.hypot(start, std if scaled else std * np.sqrt(2 * N))


@wrong("07.stream_size", "C_not_root")
def times_C(start, std, C, N, scaled):
    return np.hypot(start, std * C * (1 if scaled else np.sqrt(2 * N)))


@wrong("07.stream_size", "never_scaled")
def flag_unread(start, std, C, N, scaled):
    return np.sqrt(start**2 + 2 * N * std**2 * C)


@wrong("07.stream_size", "always_scaled")
def as_in_gpt2(start, std, C, N, scaled):
    return np.sqrt(start**2 + std**2 * C)


@wrong("07.stream_size", "scaled_by_N")
def one_over_root_N(start, std, C, N, scaled):
    if scaled:
        std = std / np.sqrt(N)
    return np.sqrt(start**2 + 2 * N * std**2 * C)


@wrong("07.stream_size", "scaled_twice")
def without_the_root(start, std, C, N, scaled):
    if scaled:
        std = std / (2 * N)
    return np.sqrt(start**2 + 2 * N * std**2 * C)


@wrong("07.stream_size", "square")
def mean_square(start, std, C, N, scaled):
    return start**2 + std**2 * C * (1 if scaled else 2 * N)


@wrong("07.stream_size", "not_normed")
def grows_like_interest(start, std, C, N, scaled):
    square = start**2
    for _ in range(2 * N):
        square += square * C * std**2 / (2 * N if scaled else 1)
    return np.sqrt(square)


@wrong("07.stream_size", "start_added")
def start_plus_all_writes(start, std, C, N, scaled):
    write = std * np.sqrt(C) / (np.sqrt(2 * N) if scaled else 1)
    return start + np.sqrt(2 * N) * write


@wrong("07.stream_size", "start_not_squared")
def size_among_squares(start, std, C, N, scaled):
    write = std**2 * C / (2 * N if scaled else 1)
    return np.sqrt(start + 2 * N * write)


@wrong("07.stream_size", "start_times_root")
def the_summary_taken_literally(start, std, C, N, scaled):
    size = start * np.sqrt(2 * N)
    return size / np.sqrt(2 * N) if scaled else size


@wrong("07.stream_size", "one_write_and_root_N")
def blocks_counted_as_writes(start, std, C, N, scaled):
    if scaled:
        std = std / np.sqrt(N)
    return np.hypot(start, np.sqrt(N * C) * std)


@wrong("07.stream_size", "other_way_round")
def flag_misread(start, std, C, N, scaled):
    if not scaled:
        std = std / np.sqrt(2 * N)
    return np.sqrt(start**2 + 2 * N * std**2 * C)


@wrong("07.stream_size", "all_scaled")
def divided_at_the_end(start, std, C, N, scaled):
    size = np.hypot(start, std * np.sqrt(2 * N * C))
    return size / np.sqrt(2 * N) if scaled else size


def one_hot_of(targets, V):
    return (np.arange(V) == targets[..., None]) * 1.0


@wrong("07.masked_backward", "all_count")
def mean_over_everything(p, targets):
    return (p - one_hot_of(targets, p.shape[-1])) / targets.size


@wrong("07.masked_backward", "divided_by_all")
def too_many(p, targets):
    d = p - one_hot_of(targets, p.shape[-1])
    d[targets == -1] = 0
    return d / targets.size


@wrong("07.masked_backward", "last_character")
def index_from_the_end(p, targets):
    d = p.copy()
    for b, t in np.ndindex(targets.shape):
        d[b, t, targets[b, t]] -= 1
    return d / np.sum(targets >= 0)


@wrong("07.masked_backward", "ignored_get_p")
def only_the_one_hot_masked(p, targets):
    counted = targets >= 0
    one_hot = np.eye(p.shape[-1])[np.where(counted, targets, 0)] * counted[..., None]
    return (p - one_hot) / counted.sum()


@wrong("07.masked_backward", "no_division")
def summed(p, targets):
    d = p - one_hot_of(targets, p.shape[-1])
    return np.where(targets[..., None] >= 0, d, 0)


@wrong("07.masked_backward", "by_sequence")
def mean_of_means(p, targets):
    d = np.zeros_like(p)
    for b in range(len(p)):
        counted = targets[b] >= 0
        d[b, counted] = (p[b] - one_hot_of(targets[b], p.shape[-1]))[counted] / counted.sum() / len(p)
    return d


@wrong("07.masked_backward", "sign")
def target_minus_p(p, targets):
    counted = (targets >= 0)[..., None]
    return (one_hot_of(targets, p.shape[-1]) - p) * counted / counted.sum()


@wrong("07.masked_backward", "no_one_hot")
def p_alone(p, targets):
    counted = (targets >= 0)[..., None]
    return p * counted / counted.sum()


@wrong("07.masked_backward", "divided_by_B")
def batch_mean(p, targets):
    counted = (targets >= 0)[..., None]
    return (p - one_hot_of(targets, p.shape[-1])) * counted / p.shape[0]


@wrong("07.masked_backward", "changed_arguments")
def writes_into_p(p, targets):
    counted = targets >= 0
    b, t = np.nonzero(counted)
    p[b, t, targets[b, t]] -= 1
    return p * counted[..., None] / counted.sum()


@wrong("07.masked_backward", "shape")
def drops_the_places(p, targets):
    counted = targets >= 0
    return (p - one_hot_of(targets, p.shape[-1]))[counted] / counted.sum()


@wrong("07.masked_backward", "raised")
def mask_does_not_broadcast(p, targets):
    counted = targets >= 0
    return (p - one_hot_of(targets, p.shape[-1])) * counted / counted.sum()


@wrong("07.masked_backward", "nothing_changed")
def as_in_the_chapter(p, targets):
    one_hot = np.eye(p.shape[-1], dtype=p.dtype)[targets]
    return (p - one_hot) / targets.size


@wrong("07.masked_backward", "first_character")
def zero_put_there_and_left(p, targets):
    counted = targets != -1
    return (p - np.eye(p.shape[-1])[np.where(counted, targets, 0)]) / counted.sum()


def parallel(x, parameters):
    normed, saved_norm = rms_norm(x)
    _, saved_attention = attention_layer(normed, part(parameters, "attention"), TINY)
    _, saved_ffn = ffn(normed, part(parameters, "ffn"), TINY)
    return saved_norm, saved_attention, saved_ffn


@wrong("07.parallel_backward", "no_stream")
def branches_only(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_normed = attention_layer_backward(d_out, attention)[0]
    d_normed += ffn_backward(d_out, hidden)[0]
    return rms_norm_backward(d_normed, norm)[0]


@wrong("07.parallel_backward", "only_stream")
def straight_through(d_out, x, parameters):
    return d_out.copy()


@wrong("07.parallel_backward", "no_ffn")
def attention_only(d_out, x, parameters):
    norm, attention, _ = parallel(x, parameters)
    return d_out + rms_norm_backward(attention_layer_backward(d_out, attention)[0], norm)[0]


@wrong("07.parallel_backward", "no_attention")
def overwritten(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_normed, _ = attention_layer_backward(d_out, attention)
    d_normed, _ = ffn_backward(d_out, hidden)
    return d_out + rms_norm_backward(d_normed, norm)[0]


@wrong("07.parallel_backward", "no_norm")
def norm_forgotten(d_out, x, parameters):
    _, attention, hidden = parallel(x, parameters)
    return d_out + attention_layer_backward(d_out, attention)[0] + ffn_backward(d_out, hidden)[0]


@wrong("07.parallel_backward", "stream_twice")
def two_residuals(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    first = d_out + rms_norm_backward(attention_layer_backward(d_out, attention)[0], norm)[0]
    second = d_out + rms_norm_backward(ffn_backward(d_out, hidden)[0], norm)[0]
    return first + second


@wrong("07.parallel_backward", "half")
def mean_of_residuals(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    first = d_out + rms_norm_backward(attention_layer_backward(d_out, attention)[0], norm)[0]
    second = d_out + rms_norm_backward(ffn_backward(d_out, hidden)[0], norm)[0]
    return (first + second) / 2


@wrong("07.parallel_backward", "all_normed")
def everything_through_the_norm(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d = d_out + ffn_backward(d_out, hidden)[0] + attention_layer_backward(d_out, attention)[0]
    return rms_norm_backward(d, norm)[0]


@wrong("07.parallel_backward", "one_after_another")
def the_usual_block(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_x = d_out + rms_norm_backward(ffn_backward(d_out, hidden)[0], norm)[0]
    return d_x + rms_norm_backward(attention_layer_backward(d_x, attention)[0], norm)[0]


@wrong("07.parallel_backward", "norm_first")
def forward_order(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_normed = rms_norm_backward(d_out, norm)[0]
    return d_out + attention_layer_backward(d_normed, attention)[0] + ffn_backward(d_normed, hidden)[0]


@wrong("07.parallel_backward", "raised")
def forgot_the_second_result(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_normed = attention_layer_backward(d_out, attention) + ffn_backward(d_out, hidden)
    return d_out + rms_norm_backward(d_normed, norm)


@wrong("07.parallel_backward", "type")
def with_gradients(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_a, gradients = attention_layer_backward(d_out, attention)
    d_f, more = ffn_backward(d_out, hidden)
    return d_out + rms_norm_backward(d_a + d_f, norm)[0], gradients | more


@wrong("07.parallel_backward", "other_order")
def attention_first(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_x = d_out + rms_norm_backward(attention_layer_backward(d_out, attention)[0], norm)[0]
    return d_x + rms_norm_backward(ffn_backward(d_x, hidden)[0], norm)[0]


@wrong("07.parallel_backward", "chained")
def one_chain(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d, _ = ffn_backward(d_out, hidden)
    d, _ = attention_layer_backward(d, attention)
    return d_out + rms_norm_backward(d, norm)[0]


@wrong("07.parallel_backward", "straight_and_normed")
def residual_in_both(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_normed = d_out + attention_layer_backward(d_out, attention)[0] + ffn_backward(d_out, hidden)[0]
    return d_out + rms_norm_backward(d_normed, norm)[0]


@wrong("07.parallel_backward", "raised")
def norm_as_in_the_chapter(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_normed = attention_layer_backward(d_out, attention)[0] + ffn_backward(d_out, hidden)[0]
    return d_out + rms_norm_backward(d_normed, norm)
