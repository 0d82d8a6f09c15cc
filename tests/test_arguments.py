"""One message for each mistake, naming the argument, its value and the way out, in every framework."""

import numpy as np
import pytest

from microgpt_ref._arguments import check_length, check_parameters, check_sampling, check_tokens
from microgpt_ref.checkpoint import Checkpoint
from microgpt_ref.config import GPTConfig
from microgpt_ref.parameters import initial_parameters, parameter_shapes

SMALL = GPTConfig(vocab_size=7, context=6, d_model=8, n_layer=1, n_head=2)


def test_lengths() -> None:
    check_length(6, SMALL)
    with pytest.raises(ValueError, match="tokens has T=7 positions but the model's context is 6; pass fewer"):
        check_length(7, SMALL)


def test_tokens_that_are_fine() -> None:
    check_tokens(np.array([[0, 6]]), SMALL)
    check_tokens(np.zeros((2, 0), int), SMALL)


@pytest.mark.parametrize(("wrong", "named"), [([[0, 7]], "7"), ([[-1, 9]], "-1"), ([[65_535]], "65535")])
def test_tokens_outside_the_vocabulary(wrong: list[list[int]], named: str) -> None:
    sentence = f"tokens holds {named}, but the ids are 0 to 6; encode the text with the tokenizer"
    with pytest.raises(ValueError, match=sentence):
        check_tokens(np.array(wrong), SMALL)


def test_parameters() -> None:
    shapes, parameters = parameter_shapes(SMALL), initial_parameters(SMALL)
    check_parameters(parameters, shapes)
    missing = {name: a for name, a in parameters.items() if name != "final_norm.bias"}
    wrong = parameters | {"embedding.weight": parameters["embedding.weight"].T}
    extra = parameters | {"head.weight": parameters["embedding.weight"]}
    for bad, sentence in [
        (missing, r"parameters has no 'final_norm.bias'; load a checkpoint of this configuration"),
        (wrong, r"parameters\['embedding.weight'\] has shape \(8, 7\), but .* asks for \(7, 8\)"),
        (extra, r"parameters\['head.weight'\] is not in a model of this configuration"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            check_parameters(bad, shapes)
        with pytest.raises(ValueError, match=sentence):
            Checkpoint(SMALL, bad).build_numpy()


def test_sampling() -> None:
    check_sampling(1, 0, 0.0, None)
    check_sampling(1, 5, 1.5, 1)
    for arguments, sentence in [
        ((0, 1, 1.0, None), "tokens is empty; give at least one token to continue from"),
        ((1, 1, -0.5, None), "temperature=-0.5 is negative; use 0 for the likeliest token, or more"),
        ((1, 1, 1.0, 0), "top_k=0 keeps nothing; use 1 or more, or None for all tokens"),
        ((1, -2, 1.0, None), "max_new_tokens=-2 is negative; use 0 or more"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            check_sampling(*arguments)
