"""Configurations that several tests share: random valid ones, and a small one with inputs it must refuse."""

import numpy as np
from hypothesis import strategies as st

from microgpt_ref.config import GPTConfig

SMALL = GPTConfig(vocab_size=7, context=6, d_model=8, n_layer=2, n_head=2)

# tokens that SMALL must refuse, and how the message begins
BAD_TOKENS = [
    (np.zeros((1, 7), int), "tokens has T=7 positions but the model's context is 6; pass fewer"),
    (np.array([[1, 7]]), "tokens holds 7, but the ids are 0 to 6; encode the text with the tokenizer"),
    (np.array([[1, -1]]), "tokens holds -1, but the ids are 0 to 6"),
]


@st.composite
def configs(draw: st.DrawFn) -> GPTConfig:
    """A small GPTConfig; every field is drawn, and what cannot go together is avoided, not filtered."""
    n_kv_head = draw(st.integers(1, 3))
    n_head = n_kv_head * draw(st.integers(1, 3))
    head_width = 2 * draw(st.integers(1, 4))
    norm = draw(st.sampled_from(["layernorm", "rmsnorm"]))
    norm_weight = draw(st.booleans())
    can_shift = norm == "layernorm" and norm_weight
    norm_position = draw(st.sampled_from(["pre", "post"]))
    ffn_norm = draw(st.booleans())
    return GPTConfig(
        vocab_size=draw(st.integers(2, 40)),
        context=draw(st.integers(2, 12)),
        d_model=n_head * head_width,
        n_layer=draw(st.integers(1, 3)),
        n_head=n_head,
        n_kv_head=draw(st.sampled_from([None, n_kv_head])),
        d_ff=draw(st.none() | st.integers(1, 50)),
        position=draw(st.sampled_from(["learned", "sinusoidal", "rotary", "none"])),
        rope_base=draw(st.sampled_from([100.0, 10_000.0])),
        norm=norm,
        norm_weight=norm_weight,
        norm_bias=draw(st.sampled_from([None, False, True]))
        if can_shift
        else draw(st.sampled_from([None, False])),
        norm_position=norm_position,
        ffn_norm=ffn_norm,
        final_norm=draw(st.booleans()) and not (norm_position == "post" and ffn_norm),
        activation=draw(st.sampled_from(["relu", "gelu", "gelu_tanh", "relu2", "swiglu"])),
        qkv_bias=draw(st.booleans()),
        attention_out_bias=draw(st.booleans()),
        ffn_bias=draw(st.booleans()),
        head_bias=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
        attention_scale=draw(st.sampled_from([None, 0.125, 1.0])),
        tied_head=draw(st.booleans()),
        embedding_scale=draw(st.sampled_from([1.0, 3.0])),
        dropout=draw(st.sampled_from([0.0, 0.2])),
    )
