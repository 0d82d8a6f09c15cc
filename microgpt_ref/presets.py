"""The five published small GPTs as configurations, and the course's own small ones.

Sources and training recipes stand in the book; the parameter counts are pinned by a test.
"""

from __future__ import annotations

import math

from microgpt_ref.config import ConfigError, GPTConfig

TEJAS_10M = GPTConfig(
    # github.com/TejasKalsait/microGPT: 10,788,929 parameters. Its scores are scaled by 1/√C, not 1/√D:
    # a mistake that training hides, kept here because the published loss was reached with it.
    vocab_size=65,
    context=256,
    d_model=384,
    n_layer=6,
    n_head=6,
    activation="relu",
    qkv_bias=False,
    head_bias=True,
    tied_head=False,
    attention_scale=1 / math.sqrt(384),
    dropout=0.2,
)

KANDARPA_17M = GPTConfig(
    # github.com/kandarpa02/microGPT, micro_gpt_4: 17,205,248 parameters. The context length is not part
    # of the count (its positions are sinusoidal); 512 is our choice. Its norm divides by std + ε;
    # ours by √(var + ε).
    vocab_size=9000,
    context=512,
    d_model=512,
    n_layer=4,
    n_head=8,
    position="sinusoidal",
    embedding_scale=math.sqrt(512),
    ffn_norm=False,
    final_norm=False,
    qkv_bias=False,
    attention_out_bias=False,
)

ZAIN_124M = GPTConfig(
    # github.com/ZainSharief/micro-gpt, README of October 2025: 123,637,248 parameters.
    vocab_size=50_261,
    context=384,
    d_model=768,
    n_layer=12,
    n_head=16,
    position="rotary",
    norm="rmsnorm",
    dropout=0.1,
)

MINIGPT_124M = GPTConfig(
    # miniGPT is GPT-2 small (Radford et al. 2019): 124,439,808 parameters.
    vocab_size=50_257,
    context=1024,
    d_model=768,
    n_layer=12,
    n_head=12,
    activation="gelu_tanh",
)

MICROGPT_TIKTOKEN = GPTConfig(
    # Microgpt, a single-file PyTorch GPT. It publishes neither its number of layers nor its biases, tying
    # or dropout rate: six layers, and for the rest the choices of tejas-10m, are assumed here.
    vocab_size=50_257,
    context=512,
    d_model=512,
    n_layer=6,
    n_head=8,
    activation="relu",
    qkv_bias=False,
    head_bias=True,
    tied_head=False,
    dropout=0.2,
)

MODERN = GPTConfig(
    # The course's default for training: small, and with what helps a small model learn quickly. Normed
    # queries and keys have length √D, so a score is at most D · attention_scale: 16 lets one position of
    # hundreds win the softmax, 1/√D would not.
    vocab_size=65,
    context=256,
    d_model=128,
    n_layer=4,
    n_head=2,
    position="rotary",
    norm="rmsnorm",
    norm_weight=False,
    activation="relu2",
    qk_norm=True,
    attention_scale=16 / 64,
    qkv_bias=False,
    attention_out_bias=False,
    ffn_bias=False,
    tied_head=False,
)

STORIES_GPT2 = GPTConfig(
    # The stories' size with GPT-2's choices, for what reads only those.
    vocab_size=65,
    context=512,
    d_model=128,
    n_layer=4,
    n_head=4,
    activation="gelu_tanh",
)

STORIES_LLAMA = GPTConfig(
    # The same size with the choices of Llama (Touvron et al. 2023). Three matrices in the FFN, so 8/3 C
    # channels instead of 4 C make it as large as before; 344 is the next multiple of 8.
    vocab_size=65,
    context=512,
    d_model=128,
    n_layer=4,
    n_head=4,
    d_ff=344,
    position="rotary",
    norm="rmsnorm",
    activation="swiglu",
    qkv_bias=False,
    attention_out_bias=False,
    ffn_bias=False,
    tied_head=False,
)

PUBLISHED: dict[str, GPTConfig] = {
    "tejas-10m": TEJAS_10M,
    "kandarpa-17m": KANDARPA_17M,
    "zain-124m": ZAIN_124M,
    "minigpt-124m": MINIGPT_124M,
    "microgpt-tiktoken": MICROGPT_TIKTOKEN,
}

PRESETS: dict[str, GPTConfig] = {
    **PUBLISHED,
    "laptop": MODERN,
    "stories": MODERN.replace(context=512, n_head=4, attention_scale=16 / 32),
    "stories-gpt2": STORIES_GPT2,
    "stories-llama": STORIES_LLAMA,
    "tiny": MODERN.replace(context=64, d_model=64, n_layer=2, attention_scale=16 / 32),
}


def preset(name: str) -> GPTConfig:
    """The configuration of that name.

    Raises:
        ConfigError: for a name that is not in `PRESETS`.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset={name!r} is not known; use one of {', '.join(PRESETS)}")
    return PRESETS[name]
