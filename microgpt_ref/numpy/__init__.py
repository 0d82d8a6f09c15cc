"""The GPT in NumPy: every forward pass with its backward pass beside it, written by hand.

A forward function returns its output and `saved`, what its backward function needs. A backward function
takes the gradient of the loss with respect to the output (`d_out`) and returns the gradients with respect
to the inputs and the parameters. All of it runs in the type of its arrays: float32, or float64 for checks.
"""

from microgpt_ref.numpy.check import numerical_gradient
from microgpt_ref.numpy.gpt import (
    attention_maps,
    backward,
    cross_entropy,
    cross_entropy_backward,
    forward,
    initialise,
    loss_and_gradients,
)

__all__ = [
    "attention_maps",
    "backward",
    "cross_entropy",
    "cross_entropy_backward",
    "forward",
    "initialise",
    "loss_and_gradients",
    "numerical_gradient",
]
