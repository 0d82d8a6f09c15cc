"""Checks of arguments that the three frameworks share: one message each, wherever the mistake is made."""

from __future__ import annotations

from typing import Any

from microgpt_ref.config import GPTConfig
from microgpt_ref.sampling import Sampling


def check_length(T: int, config: GPTConfig) -> None:
    """Refuse more positions than the model has.

    Raises:
        ValueError: if T is more than `config.context`.
    """
    if config.context < T:
        raise ValueError(
            f"tokens has T={T} positions but the model's context is {config.context}; pass fewer"
        )


def check_tokens(tokens: Any, config: GPTConfig) -> None:
    """Refuse what an array library would wrap around or clamp without a word.

    Raises:
        ValueError: if there are more positions than `config.context`, or an id outside the vocabulary.
    """
    check_length(tokens.shape[1], config)
    if not tokens.size:
        return
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= config.vocab_size:
        raise ValueError(
            f"tokens holds {low if low < 0 else high}, but the ids are 0 to {config.vocab_size - 1}; encode "
            f"the text with the tokenizer that the model was trained with"
        )


def check_parameters(parameters: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse parameters that are not those of the configuration.

    Raises:
        ValueError: naming the first parameter that is missing, of another shape, or not in the model.
    """
    for name, shape in shapes.items():
        if name not in parameters:
            raise ValueError(f"parameters has no {name!r}; load a checkpoint of this configuration")
        if tuple(parameters[name].shape) != shape:
            raise ValueError(
                f"parameters[{name!r}] has shape {tuple(parameters[name].shape)}, but the configuration "
                f"asks for {shape}; load a checkpoint of this configuration"
            )
    if extra := sorted(set(parameters) - set(shapes)):
        raise ValueError(
            f"parameters[{extra[0]!r}] is not in a model of this configuration; load a checkpoint of it"
        )


def check_sampling(
    prompt: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    **others: float | None,
) -> Sampling:
    """The settings, unless one of them cannot be meant.

    Raises:
        ValueError: for an empty prompt, a negative count, or a setting that `Sampling` refuses.
    """
    if prompt == 0:
        raise ValueError("tokens is empty; give at least one token to continue from, such as a newline")
    settings = Sampling(temperature, top_k, **others)  # type: ignore[arg-type]
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens={max_new_tokens} is negative; use 0 or more")
    return settings
