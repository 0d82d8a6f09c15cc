"""The benchmark of fine-tuning: its figures are those of its runs, and zain-124m's formula is right."""

import pytest
import torch

from benchmarks import finetune
from microgpt_ref import checkpoint
from microgpt_ref.lora import LoRAConfig
from microgpt_ref.presets import preset
from microgpt_ref.torch import GPT
from microgpt_ref.torch.lora import add_lora, extend_vocabulary, trainable_parameters


def run(right: float, loss: float, trainable: int = 10) -> dict:
    return {
        "right": {"all": right},
        "story_loss": loss,
        "seconds": 100.0,
        "trainable": trainable,
        "bytes": {"weights": 40, "gradients": 4 * trainable, "optimizer": 8 * trainable},
    }


def test_the_rows_come_from_the_runs() -> None:
    runs = {"before": run(0.0, 0.18)} | {
        f"rank {rank}": run(0.9 + rank / 200, 0.2) for rank in finetune.RANKS
    }
    runs["full"] = run(0.99, 0.19, 100)
    result = finetune.result(checkpoint.load(checkpoint.shipped()), runs)
    rows = {each["what"]: each for each in result["measured"]}
    best = rows["Questions about unseen stories answered right, after LoRA (rank 16)"]
    assert best["value"] == pytest.approx(98)
    assert best["target"] == 95
    assert rows["The base model's story loss that LoRA (rank 16) keeps"]["value"] == pytest.approx(90)
    assert rows["Parameters trained, all weights"]["value"] == 100
    assert rows["Gradients and AdamW's state, all weights"]["value"] == pytest.approx(1200 / 1e6)


def test_the_formula_for_zain_counts_what_a_model_would_have() -> None:
    config = preset("zain-124m")
    counted = finetune.of_zain()
    with torch.device("meta"):
        model = GPT(config.replace(vocab_size=config.vocab_size - 4))
    extend_vocabulary(model, 4)
    add_lora(model, LoRAConfig(16, 16))
    every = sum(p.numel() for p in model.parameters())
    assert counted["parameters"] == 123_637_248
    assert counted["lora"] == trainable_parameters(model)
    assert counted["lora_bytes"] == 4 * every + 12 * counted["lora"]
    assert counted["full_bytes"] == 16 * 123_637_248
