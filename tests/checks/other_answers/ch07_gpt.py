"""Right answers to the exercises of chapter 7, written in other ways than the solutions."""

from __future__ import annotations

import copy
import math

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from microgpt_ref.checks.gpt import TINY
from microgpt_ref.numpy.attention import attention_layer, attention_layer_backward
from microgpt_ref.numpy.ffn import ffn, ffn_backward
from microgpt_ref.numpy.norm import rms_norm, rms_norm_backward
from microgpt_ref.parameters import part
from tests.checks.answers import right


@right("07.untie", way="everything copied")
def deep_copy(parameters):
    free = copy.deepcopy(parameters)
    return free | {"head.weight": 1.0 * free["embedding.weight"]}


@right("07.untie", way="the embedding is the copy")
def the_other_one_copied(parameters):
    table = parameters["embedding.weight"]
    return {**parameters, "head.weight": table, "embedding.weight": np.array(table)}


@right("07.untie", way="loops")
def filled(parameters):
    free = dict(parameters.items())
    free["head.weight"] = np.empty_like(parameters["embedding.weight"])
    for row, vector in enumerate(parameters["embedding.weight"]):
        free["head.weight"][row] = vector
    return free


@right("07.count_gpt2", way="a list of shapes")
def from_shapes(V, T, C, N):
    block = [(3 * C, C), (3 * C,), (C, C), (C,), (4 * C, C), (4 * C,), (C, 4 * C), (C,), *[(C,)] * 4]
    shapes = [(V, C), (T, C), *block * N, (C,), (C,)]
    return sum(math.prod(shape) for shape in shapes)


@right("07.count_gpt2", way="torch's modules")
def from_modules(V, T, C, N):
    with torch.device("meta"):
        layer = torch.nn.TransformerEncoderLayer(C, 1, 4 * C)
        others = torch.nn.ModuleList(
            [torch.nn.Embedding(V, C), torch.nn.Embedding(T, C), torch.nn.LayerNorm(C)]
        )
    return N * sum(p.numel() for p in layer.parameters()) + sum(p.numel() for p in others.parameters())


@right("07.stream_size", way="hypot")
def with_hypot(start, std, C, N, scaled):
    return math.hypot(start, std * C**0.5 * (1 if scaled else (2 * N) ** 0.5))


@right("07.stream_size", way="write by write")
def write_by_write(start, std, C, N, scaled):
    square, write = start**2, std * np.sqrt(C)
    if scaled:
        write /= np.sqrt(2 * N)
    for _ in range(2 * N):
        square += write**2
    return np.sqrt(square)


@right("07.masked_backward", way="torch autograd")
def with_ignore_index(p, targets):
    logits = torch.tensor(p).log().requires_grad_()
    F.cross_entropy(logits.flatten(0, 1), torch.tensor(targets).flatten(), ignore_index=-1).backward()
    return logits.grad


@right("07.masked_backward", way="loops")
def place_by_place(p, targets):
    d_logits, n = np.zeros_like(p), 0
    for place, target in np.ndenumerate(targets):
        if target >= 0:
            d_logits[place] = p[place]
            d_logits[place][target] -= 1
            n += 1
    return d_logits / n


@right("07.masked_backward", way="jax")
def one_hot_of_jax(p, targets):
    one_hot = np.asarray(jax.nn.one_hot(jnp.asarray(targets), p.shape[-1]))  # a row of zeros for -1
    counted = one_hot.sum(-1, keepdims=True)
    return (p * counted - one_hot) / counted.sum()


def parallel(x, parameters):
    normed, saved_norm = rms_norm(x)
    _, saved_attention = attention_layer(normed, part(parameters, "attention"), TINY)
    _, saved_ffn = ffn(normed, part(parameters, "ffn"), TINY)
    return saved_norm, saved_attention, saved_ffn


@right("07.parallel_backward", way="the norm's backward for each branch")
def branch_by_branch(d_out, x, parameters):
    norm, attention, hidden = parallel(x, parameters)
    d_x = d_out.copy()
    d_x += rms_norm_backward(attention_layer_backward(d_out, attention)[0], norm)[0]
    d_x += rms_norm_backward(ffn_backward(d_out, hidden)[0], norm)[0]
    return d_x


@right("07.parallel_backward", way="torch autograd")
def with_autograd(d_out, x, parameters):
    C, H, eps = TINY.d_model, TINY.n_head, TINY.norm_eps
    weights = {name: torch.tensor(array) for name, array in parameters.items()}
    inputs = torch.tensor(x, requires_grad=True)
    B, T, _ = inputs.shape
    normed = F.rms_norm(inputs, (C,), eps=eps)
    q, k, v = (normed @ weights["attention.qkv.weight"].T).view(B, T, 3, H, -1).permute(2, 0, 3, 1, 4)
    D = q.shape[-1]
    angles = torch.outer(torch.arange(T), TINY.rope_base ** (-torch.arange(0, D, 2, dtype=torch.float64) / D))
    cos, sin = angles.cos(), angles.sin()
    q, k = (
        F.rms_norm(torch.cat((a * cos - b * sin, a * sin + b * cos), -1), (D,), eps=eps)
        for a, b in (z.chunk(2, -1) for z in (q, k))
    )
    heads = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=TINY.score_scale)
    change = heads.transpose(1, 2).reshape(B, T, C) @ weights["attention.out.weight"].T
    more = (normed @ weights["ffn.up.weight"].T).relu() ** 2 @ weights["ffn.down.weight"].T
    (inputs + change + more).backward(torch.tensor(d_out))
    return inputs.grad
