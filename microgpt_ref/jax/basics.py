"""What every layer uses: the linear map, dropout, and keys for it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

Parameters = dict[str, Float[Array, "..."]]  # `parameter_shapes` says which
Key = PRNGKeyArray | None


def linear(
    x: Float[Array, "*batch inputs"],
    weight: Float[Array, "outputs inputs"],
    bias: Float[Array, " outputs"] | None = None,
) -> Float[Array, "*batch outputs"]:
    """x Wᵀ + b, with the weight in PyTorch's layout, (out, in)."""
    out = x @ weight.T  # (..., outputs)
    return out if bias is None else out + bias


def dropout(x: Float[Array, "*shape"], probability: float, key: Key) -> Float[Array, "*shape"]:
    """Zero each number with this probability, divide the rest by 1 − probability (Srivastava et al. 2014).

    Without a key, as outside training, nothing changes.
    """
    if key is None or probability == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - probability, x.shape)
    return jnp.where(keep, x / (1 - probability), 0)


def split(key: Key, count: int) -> list[Key]:
    """So many independent keys from one, or so many Nones from None."""
    return [None] * count if key is None else list(jax.random.split(key, count))
