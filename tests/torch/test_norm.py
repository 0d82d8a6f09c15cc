"""The norms against their equations, written out in float64."""

import pytest
import torch

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch.norm import NORMS, layer_norm, rms_norm


def test_layer_norm_is_its_equation() -> None:
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    weight, bias = torch.randn(2, 8, dtype=torch.float64)
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    expected = (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias
    torch.testing.assert_close(layer_norm(x, weight, bias), expected)
    with_std = (x - mean) / (variance.sqrt() + 1e-5) * weight + bias  # the mistake of kandarpa-17m's code
    assert not torch.allclose(layer_norm(1e-3 * x, weight, bias), with_std, atol=1e-3)


def test_rms_norm_is_its_equation() -> None:
    x = torch.randn(3, 5, 8, dtype=torch.float64) + 1
    weight = torch.randn(8, dtype=torch.float64)
    expected = x / torch.sqrt((x**2).mean(-1, keepdim=True) + 1e-5) * weight
    torch.testing.assert_close(rms_norm(x, weight), expected)
    assert not torch.allclose(rms_norm(x, weight), layer_norm(x, weight))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("norm_weight", [True, False])
def test_scale_does_not_matter(norm: str, norm_weight: bool) -> None:
    module = NORMS[norm](GPTConfig(norm=norm, norm_weight=norm_weight))  # type: ignore[arg-type]
    x = torch.randn(2, 3, 128)
    torch.testing.assert_close(module(x), module(1000 * x), rtol=1e-3, atol=1e-3)
    assert module(torch.zeros(1, 1, 128)).isfinite().all()


def test_parameters_follow_the_configuration() -> None:
    def names(**changes: object) -> set[str]:
        config = GPTConfig(**changes)  # type: ignore[arg-type]
        return {name for name, _ in NORMS[config.norm](config).named_parameters()}

    assert names() == {"weight", "bias"}
    assert names(norm_bias=False) == {"weight"}
    assert names(norm_weight=False) == set()
    assert names(norm="rmsnorm") == {"weight"}
    assert names(norm="rmsnorm", norm_weight=False) == set()
