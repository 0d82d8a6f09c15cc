"""The course's GPT in PyTorch: attention, norm, ffn, gpt, and the training and sampling around them."""

from microgpt_ref.torch.gpt import GPT
from microgpt_ref.torch.sample import generate

__all__ = ["GPT", "generate"]
