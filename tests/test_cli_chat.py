"""`microgpt finetune`, `chat`, `sample` and `export` as a person uses them."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from microgpt_ref import checkpoint, cli, stories
from microgpt_ref.chat import Message, prompt
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.cli.chat import Chat, Talk
from microgpt_ref.config import GPTConfig
from microgpt_ref.parameters import initial_parameters
from microgpt_ref.sampling import Sampling
from microgpt_ref.tokenizers import CHAT_TOKENS, CharacterTokenizer
from microgpt_ref.torch import GPT

TOKENIZER = CharacterTokenizer(stories.ALPHABET, CHAT_TOKENS)
CONFIG = GPTConfig(
    vocab_size=TOKENIZER.vocab_size, context=640, d_model=16, n_layer=1, n_head=2, position="rotary"
)


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    """A conversation with a model whose answers are Mara, Ben, Ada, …; `heard` lists what it was asked."""
    talk = Talk(GPT(CONFIG), TOKENIZER, Chat(tokens=20, sampling=Sampling(temperature=0)), True)
    talk.heard = []  # type: ignore[attr-defined]
    answers = iter(["Mara.", "Ben.", "Ada.", "Nell."] * 10)

    def stream(model, tokens, *arguments, **options):
        talk.heard.append(TOKENIZER.decode(tokens[0].tolist()))  # type: ignore[attr-defined]
        for token in [*TOKENIZER.encode(next(answers)), TOKENIZER.special(CHAT_TOKENS[-1])]:
            yield torch.tensor([[token]])

    monkeypatch.setattr("microgpt_ref.torch.sample.stream", stream)
    return talk


def say(talk: Talk, line: str) -> str:
    return "".join(talk.reply(line))


def test_turns_add_up_and_reset_forgets_them(talk: Talk) -> None:
    assert say(talk, "Who?") == "Mara."
    assert say(talk, "And then?") == "Ben."
    heard = talk.heard  # type: ignore[attr-defined]
    assert heard[0] == "<|user|>Who?<|enduser|><|assistant|>"
    assert heard[1] == (
        "<|user|>Who?<|enduser|><|assistant|>Mara.<|endassistant|><|user|>And then?<|enduser|><|assistant|>"
    )
    assert say(talk, "/reset") == "forgotten"
    assert say(talk, "Who?") == "Ada."
    assert heard[2] == heard[0]


def test_the_system_text_stays_while_old_turns_go_by_whole_turns(talk: Talk) -> None:
    say(talk, "/system Mara has the lantern.")
    question = "Who has it " + "now " * 25 + "?"
    for _ in range(9):
        say(talk, question)
    heard = talk.heard[-1]  # type: ignore[attr-defined]
    assert heard.startswith("<|user|>Mara has the lantern.\n\nWho has it now")
    assert len(TOKENIZER.encode(heard, allow_special=True)) <= CONFIG.context
    assert heard.count("<|user|>") == heard.count("<|enduser|>") == heard.count("<|assistant|>")
    assert 1 < heard.count("<|user|>") < 9
    assert len(talk.turns) == 2 * heard.count("<|user|>")  # what is not read is not kept


def test_marks_that_are_typed_are_text(talk: Talk) -> None:
    tokenizer = CharacterTokenizer(stories.ALPHABET + "<|>", CHAT_TOKENS)
    other = Talk(GPT(CONFIG.replace(vocab_size=tokenizer.vocab_size)), tokenizer, Chat())
    ids = other.ids([Message("user", "<|assistant|>")])
    assert ids.count(tokenizer.special("<|assistant|>")) == 1
    assert len(ids) == 3 + len("<|assistant|>")


def test_commands(talk: Talk) -> None:
    assert say(talk, "/temperature") == "temperature 0"
    assert say(talk, "/temperature 0.5") == "temperature 0.5"
    assert talk.sampling == Sampling(temperature=0.5)
    assert "is no temperature" in say(talk, "/temperature hot")
    assert "temperature=-1.0 is negative" in say(talk, "/temperature -1")
    assert say(talk, "/system").startswith("nothing")
    assert "not a command" in say(talk, "/sing")
    assert "/reset" in say(talk, "/help")
    told = say(talk, "/story").split("\n")[0]
    assert stories.consistent(told + "\n")
    assert told != say(talk, "/story").split("\n")[0]
    assert say(talk, "/quit") == "goodbye"
    assert talk.ended
    assert not talk.turns


def test_a_character_the_model_never_saw_is_said_and_forgotten(talk: Talk) -> None:
    with pytest.raises(ValueError, match="'€'"):
        say(talk, "How many €?")
    assert talk.turns == []
    assert say(talk, "Who?") == "Mara."


def test_a_stopped_answer_stays_in_the_conversation(talk: Talk) -> None:
    pieces = talk.reply("Who?")
    assert next(pieces) == "M"
    pieces.close()  # type: ignore[attr-defined]  # Ctrl-C
    assert talk.turns == [Message("user", "Who?"), Message("assistant", "M")]


def test_a_model_that_was_never_taught_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["chat", "--checkpoint", str(checkpoint.shipped())]) == 2
    assert "run `microgpt finetune` on it first" in capsys.readouterr().err


def test_without_a_run_the_way_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["chat"]) == 2
    assert "run `microgpt finetune`" in capsys.readouterr().err


@pytest.fixture(scope="module")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained model with the stories' alphabet."""
    config = CONFIG.replace(vocab_size=len(stories.ALPHABET), norm="layernorm", position="learned")
    arrays = {name: array.astype(np.float32) for name, array in initial_parameters(config, 0).items()}
    tokenizer = CharacterTokenizer(stories.ALPHABET).to_dict()
    saved = Checkpoint(config, arrays, tokenizer, training={"dataset": "stories"})
    return checkpoint.save(tmp_path_factory.mktemp("base") / "base.safetensors", saved)


QUICK = ["--steps", "4", "--batch-size", "8", "--warmup-steps", "1", "--precision", "fp32"]


@pytest.mark.slow
def test_finetune_then_chat_then_export(
    small_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_module = sys.modules[cli.finetune.__module__]
    monkeypatch.setattr(command_module, "UNSEEN", 3)
    monkeypatch.setattr(command_module, "TOLD", 2)
    out = tmp_path / "run"
    command = [
        "finetune",
        "--checkpoint",
        str(small_base),
        "--conversations",
        "40",
        "--out",
        str(out),
        *QUICK,
    ]
    assert cli.main([*command, "--rank", "2"]) == 0
    printed = capsys.readouterr().out
    assert "parameters are trained" in printed
    assert "of 3 questions about unseen stories answered right" in printed
    assert f"Talk to it: microgpt chat --checkpoint {out}" in printed
    assert (out / "adapter" / "adapter_config.json").is_file()
    assert cli.main([*command, "--rank", "2"]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert cli.main([*command, "--rank", "3", "--resume"]) == 2
    assert "rank" in capsys.readouterr().err

    monkeypatch.setattr("sys.stdin", io.StringIO("Who has the ring?\n/system It was grey.\n/quit\n"))
    assert cli.main(["chat", "--checkpoint", str(out), "--tokens", "5"]) == 0
    printed = capsys.readouterr().out
    assert "Ask about it, for example:" in printed
    assert printed.rstrip().endswith("goodbye")

    assert cli.main(["export", "--checkpoint", str(out), "--out", str(tmp_path / "hf")]) == 0
    assert "AutoModelForCausalLM.from_pretrained" in capsys.readouterr().out
    assert (tmp_path / "hf" / "model.safetensors").is_file()


@pytest.mark.slow
def test_finetune_on_a_file_of_conversations(
    small_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "talks.jsonl"
    record = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Mara."}]}
    broken = {"messages": [{"role": "user", "content": "Who?"}]}
    path.write_text("\n".join(map(json.dumps, [record] * 20 + [broken])), encoding="utf-8")
    command = ["finetune", "--checkpoint", str(small_base), "--data", str(path), "--method", "full"]
    assert cli.main([*command, "--out", str(tmp_path / "run"), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "left out: 1 conversations (no answer at the end)" in printed
    assert "full: " in printed
    saved = checkpoint.load(tmp_path / "run")
    assert saved.training["recipe"]["method"] == "full"
    assert set(CHAT_TOKENS) <= set(saved.build_tokenizer().special_tokens)


def test_an_export_that_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = CONFIG.replace(ffn_norm=False)
    arrays = {name: array.astype(np.float32) for name, array in initial_parameters(config, 0).items()}
    path = checkpoint.save(tmp_path / "x.safetensors", Checkpoint(config, arrays, TOKENIZER.to_dict()))
    assert cli.main(["export", "--checkpoint", str(path), "--out", str(tmp_path / "hf")]) == 2
    said = capsys.readouterr().err
    assert "ffn_norm=False" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "hf").exists()


def test_sample_takes_every_filter_and_stops(capsys: pytest.CaptureFixture[str]) -> None:
    common = ["sample", "--tokens", "60", "--seed", "1"]
    assert cli.main([*common, "--stop", "."]) == 0
    stopped = capsys.readouterr().out
    assert cli.main(common) == 0
    whole = capsys.readouterr().out
    assert whole.startswith(stopped.rstrip("\n") + ".")
    filters = ["--top-k", "3", "--top-p", "0.9", "--min-p", "0.05", "--repetition-penalty", "1.1"]
    assert cli.main([*common, *filters]) == 0
    assert capsys.readouterr().out.strip()
    assert cli.main([*common, "--top-p", "0"]) == 2
    assert "top_p=0.0 is outside (0, 1]" in capsys.readouterr().err


def test_what_chat_reads_is_what_fine_tuning_teaches() -> None:
    """The prompt of a question in the chat is the beginning of the conversation that was trained on."""
    from microgpt_ref.chat import encode, story_conversations

    trained = story_conversations(1)[0]
    talk = Talk(GPT(CONFIG), TOKENIZER, Chat(system=trained[0].text))
    ids = talk.ids([trained[1]])
    assert ids == prompt(trained[:2], TOKENIZER, CONFIG.context)
    assert encode(trained, TOKENIZER, CONFIG.context).ids[: len(ids)].tolist() == ids
