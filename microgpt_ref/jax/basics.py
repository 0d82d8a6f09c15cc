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
    **beside: Float[Array, ...],
) -> Float[Array, "*batch outputs"]:
    """x Wᵀ + b, with the weight in PyTorch's layout, (out, in); the product runs in the weight's format.

    Args:
        beside: what stands beside the weight while LoRA trains with dropout: see `low_rank`.
    """
    out = x.astype(weight.dtype) @ weight.T  # (..., outputs)
    out = out if bias is None else out + bias
    return out + low_rank(x, **beside) if beside else out


def low_rank(
    x: Float[Array, "*batch inputs"],
    A: Float[Array, "rank inputs"],
    B: Float[Array, "outputs rank"],
    mask: Float[Array, "*batch inputs"],
) -> Float[Array, "*batch outputs"]:
    """(x · mask) Aᵀ Bᵀ: LoRA's change, with dropout on what goes into A (Hu et al. 2021, eq. 3)."""
    return (x * mask).astype(A.dtype) @ A.T @ B.T  # (..., outputs)


def at_least_float32(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x as it is, or in float32 if it is narrower: a sum in bfloat16 loses its small terms."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


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
