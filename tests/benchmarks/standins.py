"""Tiny modules in the outward form of the peers' code, for the adapters of `benchmarks.throughput`."""

from pathlib import Path

NANOGPT = """
import torch
from dataclasses import dataclass
from torch import nn
from torch.nn import functional

print("a peer may print")

@dataclass
class GPTConfig:
    block_size: int = 8
    vocab_size: int = 8
    n_layer: int = 1
    n_head: int = 1
    n_embd: int = 8
    dropout: float = 0.5
    bias: bool = True

class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        assert config.dropout == 0.0 and config.n_embd % config.n_head == 0
        self.table = nn.Embedding(config.vocab_size, config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=config.bias)

    def forward(self, idx, targets=None):
        logits = self.head(self.table(idx))
        return logits, functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def configure_optimizers(self, weight_decay, learning_rate, betas, device_type):
        assert device_type == "cpu"
        return torch.optim.AdamW(self.parameters(), lr=learning_rate, betas=betas, weight_decay=weight_decay)
"""

MINGPT = """
import torch
from types import SimpleNamespace
from torch import nn
from torch.nn import functional

class GPT(nn.Module):
    @staticmethod
    def get_default_config():
        return SimpleNamespace(model_type="gpt", n_layer=None, n_head=None, n_embd=None, vocab_size=None,
                               block_size=None, embd_pdrop=0.1, resid_pdrop=0.1, attn_pdrop=0.1)

    def __init__(self, config):
        super().__init__()
        assert config.model_type is None and config.attn_pdrop == config.resid_pdrop == config.embd_pdrop == 0
        self.table = nn.Embedding(config.vocab_size, config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size)

    def forward(self, idx, targets=None):
        logits = self.head(self.table(idx))
        return logits, functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def configure_optimizers(self, train_config):
        c = train_config
        return torch.optim.AdamW(self.parameters(), c.learning_rate, c.betas, weight_decay=c.weight_decay)
"""

TEJAS = """
import torch
import torch.nn as nn
import torch.nn.functional as F

n_embid = 10**9
dropout = 0.2
text = open("there is no such file").read()
vocab_size = len(set(text))

def get_batch(split):
    return text

class GPTLanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        assert dropout == 0.0
        self.table = nn.Embedding(vocab_size, n_embid)
        self.places = nn.Embedding(block_size, n_embid)
        self.head = nn.Linear(n_embid, vocab_size)

    def forward(self, idx, targets=None):
        logits = self.head(self.table(idx) + self.places(torch.arange(idx.shape[1], device=device)))
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())

model = GPTLanguageModel()
for epoch in range(5000):
    raise SystemExit("this script trains when it is imported")
"""

FILES = {
    "nanoGPT": ("model.py", NANOGPT),
    "minGPT": ("mingpt/model.py", MINGPT),
    "tejas-10m": ("src/my_gptv1.py", TEJAS),
}


def checkout(folder: Path, peer: str) -> str:
    """A folder that looks like a checkout of that peer."""
    name, source = FILES[peer]
    file = folder / peer / name
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    return str(folder / peer)
