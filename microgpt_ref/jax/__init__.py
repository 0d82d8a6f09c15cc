"""The GPT in JAX: pure functions over a plain dictionary of arrays, `name → array`, with PyTorch's names.

Every function can be compiled: `jax.jit(forward, static_argnames="config")`. Nothing is random that is not
given a key.
"""

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise ImportError(
        "microgpt_ref.jax needs JAX; install it with: pip install 'microgpt-ref[jax]'"
    ) from error

from microgpt_ref.jax.gpt import forward, initialise, loss
from microgpt_ref.jax.sample import generate

__all__ = ["forward", "generate", "initialise", "loss"]
