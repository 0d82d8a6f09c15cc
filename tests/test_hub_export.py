"""The folder that an export is: the same story from transformers, and what is never overwritten."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microgpt_ref import checkpoint, hub, stories
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import GPTConfig
from microgpt_ref.presets import preset
from microgpt_ref.tokenizers import CHAT_TOKENS, BPETokenizer, CharacterTokenizer
from microgpt_ref.torch import GPT
from microgpt_ref.torch.sample import generate
from tests.frameworks.cases import random_parameters

transformers = pytest.importorskip("transformers")
transformers.utils.logging.disable_progress_bar()

ALPHABET = CharacterTokenizer(stories.ALPHABET)
SMALL = GPTConfig(vocab_size=ALPHABET.vocab_size, context=16, d_model=8, n_layer=1, n_head=2)


def small_checkpoint(config: GPTConfig = SMALL, tokenizer: Any = ALPHABET) -> Checkpoint:
    parameters = {name: array.astype(np.float32) for name, array in random_parameters(config, 0).items()}
    metrics = {"loss": 1.25, "steps": [1, 2]}
    return Checkpoint(config, parameters, tokenizer.to_dict(), 7, metrics, {"dataset": "stories"})


def trained(config: GPTConfig, steps: int = 30) -> Checkpoint:
    """A small model after a few seconds with the stories: far from good, but with clear preferences."""
    torch.manual_seed(0)
    config = config.replace(vocab_size=ALPHABET.vocab_size, d_model=64, n_layer=2)
    text = torch.tensor(ALPHABET.encode("\n".join(stories.generate(60))))
    model = GPT(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        starts = torch.randint(len(text) - 33, (16,)).tolist()
        rows = torch.stack([text[start : start + 33] for start in starts])
        loss = model.loss(rows[:, :-1], rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    parameters = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    return Checkpoint(config, parameters, ALPHABET.to_dict())


def assert_same_story(mine: Checkpoint, folder: Path, prompt: str, new_tokens: int = 200) -> str:
    """Greedy text of both, from text to text."""
    tokenizer = mine.build_tokenizer()
    prompt_ids = torch.tensor([tokenizer.encode(prompt)])
    ours = generate(mine.build_torch(), prompt_ids, new_tokens, temperature=0)
    text = tokenizer.decode(ours[0])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = their_tokenizer(prompt, return_tensors="pt")
    theirs = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
    assert their_tokenizer.decode(theirs[0]) == text
    return text


def test_the_shipped_model_tells_the_same_story(tmp_path: Path) -> None:
    shipped = checkpoint.load(checkpoint.shipped())
    text = assert_same_story(shipped, hub.export(shipped, tmp_path / "out"), "\n")
    assert len(text.split()) > 20


@pytest.mark.parametrize("name", ["stories-gpt2", "stories-llama"])
def test_a_trained_model_tells_the_same_story(name: str, tmp_path: Path) -> None:
    mine = trained(preset(name))
    folder = hub.export(mine, tmp_path / "out")
    assert_same_story(mine, folder, "\nOn a ")


@pytest.mark.slow
def test_tejas_10m_at_full_size(tmp_path: Path) -> None:
    """Its head's bias is in the final norm's shift; its scores' scale, 1/√C, in the rows of q."""
    config = preset("tejas-10m")
    parameters = {name: array.astype(np.float32) for name, array in random_parameters(config, 0).items()}
    mine = Checkpoint(config, parameters)
    folder = hub.export(mine, tmp_path / "out")
    tokens = torch.randint(65, (2, 256), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = mine.build_torch()(tokens)
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()(tokens).logits
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5 * float(ours.abs().max()))


def test_all_obstacles_are_listed() -> None:
    config = preset("kandarpa-17m")
    with pytest.raises(hub.ExportError) as caught:
        hub.export(Checkpoint(config, {}), "unused")
    message = str(caught.value)
    gpt2, llama = message.split("Llama's: ")
    assert "GPT-2's: ffn_norm=False (its FFN has a norm), final_norm=False (it has a final norm)" in gpt2
    for choice in ("position='sinusoidal'", "norm='layernorm'", "ffn_norm=False", "final_norm=False"):
        assert choice in llama


@pytest.mark.parametrize(
    ("choice", "value"),
    [("position", "rotary"), ("norm", "rmsnorm"), ("activation", "swiglu"), ("qk_norm", True)],
)
def test_the_choice_in_the_way_is_named(choice: str, value: Any) -> None:
    with pytest.raises(hub.ExportError, match=rf"GPT-2's: {choice}={value!r} \("):
        hub.family_of(SMALL.replace(**{choice: value}))


def test_a_head_bias_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Two equal rows of the head with two different biases: no shift of its input can tell them apart."""
    mine = small_checkpoint(SMALL.replace(vocab_size=4, head_bias=True), CharacterTokenizer("abcd"))
    hub.export(mine, tmp_path / "out")
    mine.parameters["embedding.weight"][1] = mine.parameters["embedding.weight"][0]
    with pytest.raises(hub.ExportError, match="head_bias=True: the rows of the head depend on one another"):
        hub.export(mine, tmp_path / "out")
    mine.parameters["embedding.weight"][1, 0] += 1e-4  # a solution exists, with huge numbers
    with pytest.raises(hub.ExportError, match="head_bias=True"):
        hub.export(mine, tmp_path / "out")


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 10), ("bfloat16", 7)])
@pytest.mark.parametrize("name", ["stories", "stories-gpt2", "stories-llama"])
def test_half_precision_halves_the_file(name: str, dtype: Any, bits: int, tmp_path: Path) -> None:
    config = preset(name).replace(context=32)
    parameters = {name: array.astype(np.float32) for name, array in random_parameters(config, 0).items()}
    mine = Checkpoint(config, parameters)
    whole, half = hub.export(mine, tmp_path / "float32"), hub.export(mine, tmp_path / dtype, dtype)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (half, whole)]
    assert sizes[0] / sizes[1] == pytest.approx(0.5, abs=0.02)
    model = transformers.AutoModelForCausalLM.from_pretrained(half, dtype="auto")
    assert model.dtype == getattr(torch, dtype)
    tokens = torch.randint(config.vocab_size, (2, 32), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = mine.build_torch()(tokens)
        theirs = model.float().eval()(tokens).logits  # the numbers are rounded, the arithmetic is not
    error = (theirs - ours).std() / ours.std()
    assert 2.0 ** -(bits + 4) < error < 2.0 ** -(bits - 4)


def test_a_number_too_large_for_float16_is_refused(tmp_path: Path) -> None:
    mine = small_checkpoint()
    mine.parameters["position.weight"][0, 0] = 1e5
    with pytest.raises(hub.ExportError, match=r"dtype='float16' cannot hold transformer\.wpe\.weight"):
        hub.export(mine, tmp_path / "out", "float16")
    assert list(tmp_path.iterdir()) == []
    hub.export(mine, tmp_path / "out", "bfloat16")
    with pytest.raises(hub.ExportError, match="dtype='int8' is not known"):
        hub.export(mine, tmp_path / "out", "int8")


def test_the_files_and_the_card(tmp_path: Path) -> None:
    folder = hub.export(small_checkpoint(), tmp_path / "deep" / "out")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["out"]  # nothing is left beside it
    card = (folder / "README.md").read_text()
    for part in ("library_name: transformers", "GPT2LMHeadModel", "7 steps on stories", "loss 1.25"):
        assert part in card
    without = Checkpoint(SMALL, small_checkpoint().parameters)
    assert not (hub.export(without, tmp_path / "deep" / "out") / "tokenizer.json").exists()


def test_other_people_s_files_are_not_overwritten(tmp_path: Path) -> None:
    mine, folder = small_checkpoint(), tmp_path / "out"
    folder.mkdir()
    hub.export(mine, folder)  # empty: fine
    (folder / "notes.txt").write_text("mine")
    hub.export(mine, folder, "float16")  # an earlier export: replaced, and the notes stay
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "float16"
    assert (folder / "notes.txt").read_text() == "mine"
    other = tmp_path / "other"
    transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1, n_embd=8, n_head=2)).save_pretrained(
        other
    )
    before = (other / "model.safetensors").read_bytes()
    with pytest.raises(hub.ExportError, match="holds something other than an export"):
        hub.export(mine, other)
    assert (other / "model.safetensors").read_bytes() == before
    hub.export(mine, other, overwrite=True)
    assert hub.load(other).config.d_model == 8
    with pytest.raises(hub.ExportError, match="holds something other than an export"):
        hub.export(mine, folder / "notes.txt", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_a_crash_leaves_the_earlier_export_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hub.export(small_checkpoint(), tmp_path / "out")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(*arguments: Any, **options: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("microgpt_ref.hub.files.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        hub.export(small_checkpoint(SMALL.replace(n_layer=2)), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


CHAT = [{"role": "user", "content": "Where is the lamp?"}, {"role": "assistant", "content": "On the pier."}]


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_chat_tokens_bring_the_chat_template(kind: str, tmp_path: Path) -> None:
    from microgpt_ref.chat import Message, render

    if kind == "characters":
        tokenizer: Any = CharacterTokenizer(stories.ALPHABET, CHAT_TOKENS)
    else:
        text = "".join(stories.generate(3))
        tokenizer = BPETokenizer.train(text, 280, ("<|endoftext|>", *CHAT_TOKENS))
    folder = hub.export(
        small_checkpoint(SMALL.replace(vocab_size=tokenizer.vocab_size), tokenizer), tmp_path / "out"
    )
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    conversation = tuple(Message(turn["role"], turn["content"]) for turn in CHAT)
    assert theirs.apply_chat_template(CHAT, tokenize=False) == render(conversation)
    ids = theirs.apply_chat_template(CHAT, tokenize=True, return_dict=False)
    assert ids == tokenizer.encode(render(conversation), allow_special=True)
    opened = theirs.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert opened == render(conversation[:1]) + "<|assistant|>"
    assert theirs.eos_token == theirs.pad_token == "<|endassistant|>"
    ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    expected = [
        tokenizer.special(name) for name in tokenizer.special_tokens if name.endswith(("text|>", "sistant|>"))
    ]
    assert sorted(np.atleast_1d(ends).tolist()) == sorted(
        set(expected) - {tokenizer.special("<|assistant|>")}
    )


def test_without_chat_tokens_there_is_no_template(tmp_path: Path) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(hub.export(small_checkpoint(), tmp_path / "out"))
    assert theirs.chat_template is None
    assert theirs.eos_token is None


def test_export_and_load_need_no_transformers() -> None:
    """Nor the libraries that come with it."""
    import subprocess
    import sys

    code = """
import sys
for name in ("transformers", "huggingface_hub", "tokenizers"):
    sys.modules[name] = None
import tempfile, pathlib
from microgpt_ref import checkpoint, hub
with tempfile.TemporaryDirectory() as folder:
    hub.export(checkpoint.load(checkpoint.shipped()), pathlib.Path(folder) / "out")
try:
    hub.load("gpt2")
except hub.HubError as error:
    assert 'pip install "microgpt-ref[hub]"' in str(error), error
else:
    raise AssertionError("a name without huggingface_hub")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
