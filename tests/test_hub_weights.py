"""Weights in and out: transformers' logits are ours, for every choice that its classes can express."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microgpt_ref import hub
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import GPTConfig, count_parameters
from microgpt_ref.hub.rewrite import Model
from microgpt_ref.presets import PRESETS
from tests.frameworks.cases import random_config, random_parameters

transformers = pytest.importorskip("transformers")
transformers.utils.logging.disable_progress_bar()

GPT2_SMALL = {"vocab_size": 31, "n_positions": 16, "n_embd": 24, "n_layer": 2, "n_head": 3}
LLAMA_SMALL = {
    "vocab_size": 31,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16,
}


def their_model(kind: str, **changes: Any) -> Any:
    """A small random model of theirs whose biases and norms are away from 0 and 1."""
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(**{**GPT2_SMALL, **changes})
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.LlamaConfig(**{**LLAMA_SMALL, **changes})
        model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def their_logits(folder: Path | Any, tokens: torch.Tensor, **options: Any) -> torch.Tensor:
    """Logits of the model in a folder, or of the model itself."""
    if isinstance(folder, Path):
        folder = transformers.AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    with torch.no_grad():
        return folder(tokens).logits.float()


def our_logits(checkpoint: Checkpoint, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return checkpoint.build_torch()(tokens)


def some_tokens(config: GPTConfig) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(config.vocab_size, (2, config.context), generator=generator)


def random_checkpoint(config: GPTConfig, seed: int = 0) -> Checkpoint:
    parameters = random_parameters(config, seed)
    return Checkpoint(config, {name: array.astype(np.float32) for name, array in parameters.items()})


def assert_same_logits(mine: torch.Tensor, theirs: torch.Tensor) -> None:
    """To 1e-5 of the largest logit."""
    torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-5 * max(1.0, float(mine.abs().max())))


IN = {
    "gpt2": ("gpt2", {}),
    "untied": ("gpt2", {"tie_word_embeddings": False}),
    "relu": ("gpt2", {"activation_function": "relu", "n_inner": 17}),
    "exact gelu": ("gpt2", {"activation_function": "gelu", "layer_norm_epsilon": 1e-3}),
    "unscaled": ("gpt2", {"scale_attn_weights": False}),
    "llama": ("llama", {}),
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "llama, biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, one base": ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
    "llama, all heads": ("llama", {"num_key_value_heads": 6, "rms_norm_eps": 1e-3}),
}


@pytest.mark.parametrize("case", IN)
def test_their_folder_has_the_same_logits_here(case: str, tmp_path: Path) -> None:
    kind, changes = IN[case]
    model = their_model(kind, **changes)
    model.save_pretrained(tmp_path)
    checkpoint = hub.load(tmp_path)
    tokens = some_tokens(checkpoint.config)
    assert_same_logits(our_logits(checkpoint, tokens), their_logits(model, tokens))


def test_shards_and_pickles_of_tensors_are_read(tmp_path: Path) -> None:
    model = their_model("gpt2")
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "shards", max_shard_size="10KB")
    assert (tmp_path / "shards" / "model.safetensors.index.json").is_file()
    (tmp_path / "bin").mkdir()
    torch.save(model.state_dict(), tmp_path / "bin" / "pytorch_model.bin")
    (tmp_path / "bin" / "config.json").write_bytes((tmp_path / "whole" / "config.json").read_bytes())
    whole = hub.load_gpt2(tmp_path / "whole").parameters
    for other in ("shards", "bin"):
        parameters = hub.load_gpt2(tmp_path / other).parameters
        assert parameters.keys() == whole.keys()
        for name, array in whole.items():
            np.testing.assert_array_equal(parameters[name], array)


class Trap:
    """Its pickle would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("trapped"),)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    their_model("gpt2").save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"transformer.wte.weight": Trap()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(
        hub.HubError, match=r"no pickle is run here; save the model again as model\.safetensors"
    ):
        hub.load(tmp_path)
    assert not (tmp_path / "trapped").exists()


def test_published_files_have_no_prefix_and_hold_masks(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = their_model("gpt2")
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 16, 16)
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(tensors, tmp_path / "model.safetensors")
    checkpoint = hub.load_gpt2(tmp_path)
    tokens = some_tokens(checkpoint.config)
    assert_same_logits(our_logits(checkpoint, tokens), their_logits(model, tokens))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ("gpt2", {"activation_function": "silu"}, "activation_function='silu'"),
        ("gpt2", {"model_type": "bloom"}, "model_type='bloom'; use a model of one of gpt2, llama"),
        (
            "gpt2",
            {"n_layer": 3},
            "weights in .* are not those of its config.json: parameters has no 'blocks.2",
        ),
        ("gpt2", {"n_embd": None}, "n_embd"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ("llama", {"head_dim": 8}, "head_dim=8"),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "rope_parameters=.*yarn"),
        ("llama", {"rope_parameters": None, "rope_scaling": {"type": "linear"}}, "rope_scaling=.*linear"),
    ],
)
def test_what_we_cannot_express_is_named(
    kind: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    their_model(kind).save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    fields = {name: value for name, value in {**fields, **change}.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(hub.HubError, match=message):
        hub.load(tmp_path)


def test_a_damaged_or_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(hub.HubError, match=r"neither a folder nor one of gpt2, gpt2-medium"):
        hub.load(tmp_path / "nothing")
    with pytest.raises(hub.HubError, match=r"config\.json is missing"):
        hub.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(hub.HubError, match=r"config\.json is not JSON"):
        hub.load(tmp_path)
    their_model("gpt2").save_pretrained(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(hub.HubError, match="cannot be read as safetensors"):
        hub.load(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(hub.HubError, match=r"has no model\.safetensors"):
        hub.load(tmp_path)
    their_model("llama").save_pretrained(tmp_path / "llama")
    with pytest.raises(hub.HubError, match="model_type='llama', not 'gpt2'; use load"):
        hub.load_gpt2(tmp_path / "llama")


PUBLISHED = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_four_sizes(name: str) -> None:
    assert count_parameters(hub.SIZES[name]) == PUBLISHED[name]
    assert hub.SIZES.keys() == PUBLISHED.keys()


def test_a_name_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The download itself is huggingface_hub's; here it finds a small model under the name."""
    import huggingface_hub

    model = their_model("gpt2")
    model.save_pretrained(tmp_path)
    asked = []

    def hf_hub_download(repository: str, file: str, local_files_only: bool = False) -> str:
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")
        asked.append((repository, file))
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    small = hub.load(tmp_path).config
    monkeypatch.setitem(hub.SIZES, "gpt2-medium", small)
    checkpoint = hub.load_gpt2("gpt2-medium")
    assert set(asked) == {
        ("openai-community/gpt2-medium", file) for file in ("config.json", "model.safetensors")
    }
    assert checkpoint.tokenizer == {"kind": "gpt2", "chat": False}
    tokens = some_tokens(small)
    assert_same_logits(our_logits(checkpoint, tokens), their_logits(model, tokens))
    with pytest.raises(hub.HubError, match="does not hold gpt2:"):
        hub.load_gpt2("gpt2")


def test_offline_is_one_sentence_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def hf_hub_download(repository: str, file: str, local_files_only: bool = False) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("many lines\nof advice")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    with pytest.raises(ConnectionError, match=r"connect to the network once, or give a folder") as caught:
        hub.load_gpt2("gpt2-xl")
    assert "\n" not in str(caught.value)


# One change each to a model that the class has as it is: everything else is then the change's own doing.
GPT2_LIKE = GPTConfig(vocab_size=7, context=8, d_model=12, n_layer=2, n_head=3)
LLAMA_LIKE = GPT2_LIKE.replace(
    position="rotary",
    norm="rmsnorm",
    activation="swiglu",
    d_ff=20,
    qkv_bias=False,
    attention_out_bias=False,
    ffn_bias=False,
    tied_head=False,
)
QWEN_LIKE = LLAMA_LIKE.replace(qk_norm=True)
OUT = {
    "gpt2": GPT2_LIKE,
    **{
        f"gpt2, {name}={value}": GPT2_LIKE.replace(**{name: value})
        for name, value in [
            ("n_kv_head", 1),
            ("d_ff", 17),
            ("position", "sinusoidal"),
            ("position", "none"),
            ("norm_weight", False),
            ("norm_bias", False),
            ("norm_eps", 1e-2),
            ("activation", "relu"),
            ("activation", "gelu_tanh"),
            ("activation", "relu2"),
            ("qkv_bias", False),
            ("attention_out_bias", False),
            ("ffn_bias", False),
            ("head_bias", True),
            ("attention_scale", 0.7),
            ("tied_head", False),
            ("embedding_scale", 3.0),
        ]
    },
    "gpt2, two key heads": GPT2_LIKE.replace(n_head=6, n_kv_head=2),
    "gpt2, untied with everything": GPT2_LIKE.replace(
        tied_head=False, head_bias=True, embedding_scale=3.0, norm_weight=False, attention_scale=0.1
    ),
    "gpt2, tied with everything": GPT2_LIKE.replace(
        head_bias=True, embedding_scale=3.0, n_kv_head=1, attention_scale=2.0, qkv_bias=False
    ),
    "llama": LLAMA_LIKE,
    **{
        f"llama, {name}={value}": LLAMA_LIKE.replace(**{name: value})
        for name, value in [
            ("n_kv_head", 1),
            ("rope_base", 100.0),
            ("norm_weight", False),
            ("norm_eps", 1e-2),
            ("activation", "relu"),
            ("activation", "gelu"),
            ("activation", "gelu_tanh"),
            ("activation", "relu2"),
            ("qkv_bias", True),
            ("attention_out_bias", True),
            ("ffn_bias", True),
            ("attention_scale", 0.7),
            ("tied_head", True),
            ("embedding_scale", 3.0),
        ]
    },
    "llama, two key heads": LLAMA_LIKE.replace(n_head=6, n_kv_head=2),
    "llama, gelu with biases": LLAMA_LIKE.replace(activation="gelu", ffn_bias=True, qkv_bias=True),
    "llama, relu2 with biases": LLAMA_LIKE.replace(activation="relu2", ffn_bias=True, tied_head=True),
    "llama, tied with everything": LLAMA_LIKE.replace(
        tied_head=True, embedding_scale=3.0, norm_weight=False, attention_scale=0.1, qkv_bias=True
    ),
    "qwen": QWEN_LIKE,
    "qwen, relu2": QWEN_LIKE.replace(activation="relu2", attention_scale=0.7, norm_weight=False),
    "qwen, biases": QWEN_LIKE.replace(qkv_bias=True, n_kv_head=1, norm_eps=1e-2),
}


@pytest.mark.parametrize("case", OUT)
def test_our_choices_have_the_same_logits_there(case: str, tmp_path: Path) -> None:
    checkpoint = random_checkpoint(OUT[case])
    tokens = some_tokens(checkpoint.config)
    folder = hub.export(checkpoint, tmp_path / "out")
    assert_same_logits(our_logits(checkpoint, tokens), their_logits(folder, tokens))


def near(config: GPTConfig) -> list[GPTConfig]:
    """The configuration moved to where a class could express it, so that random draws are not all refused."""
    norms = {"norm_position": "pre", "ffn_norm": True, "final_norm": True}
    if config.norm == "layernorm":
        position = "none" if config.position == "rotary" else config.position
        activation = "relu2" if config.activation == "swiglu" else config.activation
        return [config.replace(**norms, position=position, activation=activation, qk_norm=False)]
    if config.head_width % 2:
        return []
    return [config.replace(**norms, position="rotary", head_bias=False)]


def test_random_configurations_are_the_same_or_refused(tmp_path: Path) -> None:
    exported = refused = 0
    for seed in range(60):
        config = random_config(seed)
        for candidate in [config, *near(config)]:
            checkpoint = random_checkpoint(candidate, seed)
            try:
                folder = hub.export(checkpoint, tmp_path / f"{exported}")
            except hub.ExportError:
                refused += 1
                continue
            exported += 1
            tokens = some_tokens(candidate)
            assert_same_logits(our_logits(checkpoint, tokens), their_logits(folder, tokens))
    assert exported >= 40, "too few of the drawn configurations can be exported to test anything"
    assert refused >= 20


@pytest.mark.parametrize(
    "case", ["gpt2, tied with everything", "gpt2, position=sinusoidal", "gpt2, n_kv_head=1"]
)
def test_a_rewritten_model_is_the_same_model_here(case: str) -> None:
    from microgpt_ref.hub import gpt2

    checkpoint = random_checkpoint(OUT[case])
    config, parameters = gpt2.rewritten(Model(checkpoint.config, checkpoint.parameters))
    assert config != checkpoint.config
    tokens = some_tokens(config)
    assert_same_logits(our_logits(checkpoint, tokens), our_logits(Checkpoint(config, parameters), tokens))


EXPRESSIBLE = {
    "tejas-10m": "GPT2LMHeadModel",
    "zain-124m": "LlamaForCausalLM",
    "minigpt-124m": "GPT2LMHeadModel",
    "laptop": "Qwen3ForCausalLM",
    "stories": "Qwen3ForCausalLM",
    "stories-gpt2": "GPT2LMHeadModel",
    "stories-llama": "LlamaForCausalLM",
    "tiny": "Qwen3ForCausalLM",
}
REFUSED = {
    "kandarpa-17m": ["ffn_norm=False", "final_norm=False"],
    "microgpt-tiktoken": ["head_bias=True"],
}


@pytest.mark.parametrize("name", PRESETS)
def test_which_presets_can_be_exported(name: str) -> None:
    config = PRESETS[name]
    if name in EXPRESSIBLE:
        fields = hub.family_of(config).config_out(config)
        assert fields["architectures"] == [EXPRESSIBLE[name]]
    else:
        with pytest.raises(hub.ExportError) as caught:
            hub.family_of(config)
        gpt2 = str(caught.value).split("Llama's:")[0]
        assert [choice for choice in REFUSED[name] if choice not in gpt2] == []
        assert gpt2.count("=") == len(REFUSED[name])
