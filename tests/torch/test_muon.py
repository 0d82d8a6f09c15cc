"""Muon: orthogonal directions, matrices on their own, and the update written out."""

import copy

import pytest
import scipy.linalg
import torch

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch import GPT
from microgpt_ref.torch.muon import SCALES, Muon, orthogonalise, orthogonalise_all
from microgpt_ref.torch.optim import muon_groups

FORMATS = [torch.bfloat16, torch.float32]


def matrix(rows: int, columns: int, smallest: float = 0.02) -> torch.Tensor:
    """A random matrix whose singular values run from 1 down to `smallest`, times 3."""
    generator = torch.Generator().manual_seed(rows * 1000 + columns)
    width = min(rows, columns)
    left = torch.linalg.qr(torch.randn(rows, width, generator=generator))[0]
    right = torch.linalg.qr(torch.randn(columns, width, generator=generator))[0]
    return 3 * (left * torch.logspace(0, torch.tensor(smallest).log10().item(), width)) @ right.T


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("rows", "columns"), [(48, 48), (32, 128), (128, 32), (16, 48)])
def test_orthogonalise_points_as_the_polar_factor(rows: int, columns: int, dtype: torch.dtype) -> None:
    m = matrix(rows, columns)
    result = orthogonalise(m, dtype=dtype)
    assert result.shape == m.shape
    assert result.dtype == torch.float32
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.65
    assert values.max() < 1.25
    # the polar factor of an independent implementation: result = U f(S) Vᵀ, so Uᵀ-rotated it is symmetric
    polar = torch.from_numpy(scipy.linalg.polar(m.double().numpy(), side="left")[0]).float()
    cosine = (result * polar).sum() / (result.norm() * polar.norm())
    assert cosine > 0.98
    wide, polar = (result, polar) if rows <= columns else (result.mT, polar.mT)
    symmetric = wide @ polar.mT
    torch.testing.assert_close(symmetric, symmetric.mT, rtol=0, atol=0.03)


def test_size_does_not_matter_and_zero_stays_zero() -> None:
    m = matrix(24, 40)
    torch.testing.assert_close(
        orthogonalise(m, dtype=torch.float32), orthogonalise(1e-3 * m, dtype=torch.float32), rtol=0, atol=1e-3
    )
    assert torch.equal(orthogonalise(torch.zeros(4, 6)), torch.zeros(4, 6))


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_batch_is_its_matrices_one_by_one(dtype: torch.dtype) -> None:
    shapes = [(16, 16), (16, 32), (32, 16), (16, 16), (16, 32), (8, 16)]
    matrices = [
        torch.randn(shape, generator=torch.Generator().manual_seed(i)) for i, shape in enumerate(shapes)
    ]
    together = orthogonalise_all(matrices, dtype=dtype)
    for one, result in zip(matrices, together, strict=True):
        torch.testing.assert_close(
            result, orthogonalise(one, dtype=dtype), rtol=0, atol=2e-2 if dtype == torch.bfloat16 else 1e-5
        )


def test_fused_q_k_v_are_three_matrices() -> None:
    """One parameter cut by rows moves as three parameters do; uncut it does not."""
    sizes, generator = (16, 8, 8), torch.Generator().manual_seed(0)
    fused = torch.nn.Parameter(torch.randn(32, 16, generator=generator))
    whole = torch.nn.Parameter(fused.detach().clone())
    parts = [torch.nn.Parameter(p.clone()) for p in fused.detach().split(sizes)]
    optimizers = [
        Muon([{"params": [fused], "rows": sizes}], dtype=torch.float32),
        Muon(parts, dtype=torch.float32),
        Muon([whole], dtype=torch.float32),
    ]
    for _ in range(5):
        gradient = torch.randn(32, 16, generator=generator)
        fused.grad, whole.grad = gradient.clone(), gradient.clone()
        for part, piece in zip(parts, gradient.split(sizes), strict=True):
            part.grad = piece.clone()
        for optimizer in optimizers:
            optimizer.step()
    together = torch.cat([part.detach() for part in parts])
    torch.testing.assert_close(fused.detach(), together, rtol=1e-5, atol=1e-6)
    assert (whole - fused).abs().max() > 1e-2


@pytest.mark.parametrize("scale", SCALES)
def test_the_update_is_its_formula(scale: str) -> None:
    """Nesterov momentum as the write-up has it, an orthogonal factor, decay, over six steps."""
    weight = torch.nn.Parameter(matrix(24, 12))
    mine, buffer = weight.detach().clone(), torch.zeros(24, 12)
    optimizer = Muon([weight], lr=0.05, momentum=0.9, weight_decay=0.2, scale=scale, dtype=torch.float32)
    factor = {"spectral": 2**0.5, "adamw": 0.2 * 24**0.5}[scale]
    for step in range(6):
        gradient = torch.randn(24, 12, generator=torch.Generator().manual_seed(step))
        weight.grad = gradient.clone()
        optimizer.step()
        buffer = 0.9 * buffer + gradient
        direction = orthogonalise(gradient + 0.9 * buffer, dtype=torch.float32)
        mine = (1 - 0.05 * 0.2) * mine - 0.05 * factor * direction
        torch.testing.assert_close(weight.detach(), mine, rtol=1e-4, atol=1e-5)


def test_adamw_scale_gives_entries_of_a_fifth() -> None:
    for rows, columns in [(24, 12), (12, 24), (20, 20)]:
        polar = scipy.linalg.polar(matrix(rows, columns).numpy())[0]
        entries = SCALES["adamw"](rows, columns) * polar
        assert (entries**2).mean() ** 0.5 == pytest.approx(0.2, rel=1e-3)


def test_saved_and_loaded_it_goes_on_alike() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, context=8, d_model=16, n_layer=2, n_head=2, n_kv_head=1))
    tokens = torch.randint(0, 11, (2, 4, 8))

    def steps(model: GPT, optimizer: Muon, count: int) -> None:
        for _ in range(count):
            model.zero_grad()
            model.loss(tokens[0], tokens[1]).backward()
            optimizer.step()

    optimizer = Muon(muon_groups(model))
    steps(model, optimizer, 3)
    other = copy.deepcopy(model)
    loaded, empty = Muon(muon_groups(other)), Muon(muon_groups(copy.deepcopy(model)))
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert len(loaded.state) == 8
    assert not empty.state
    steps(model, optimizer, 3)
    steps(other, loaded, 3)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_matrices_without_a_gradient_stay() -> None:
    frozen, moving = torch.nn.Parameter(torch.ones(3, 4)), torch.nn.Parameter(torch.ones(3, 4))
    optimizer = Muon([frozen, moving])
    optimizer.step()
    moving.grad = matrix(3, 4)
    optimizer.step()
    assert torch.equal(frozen, torch.ones(3, 4))
    assert not torch.equal(moving, torch.ones(3, 4))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lr": -1.0}, r"lr=-1\.0 is negative"),
        ({"momentum": 1.0}, r"momentum=1\.0 is outside"),
        ({"scale": "big"}, "scale='big' is not known; use one of spectral, adamw"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Muon([torch.nn.Parameter(torch.ones(2, 2))], **settings)  # type: ignore[arg-type]


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match=r"a parameter has shape \(3,\); give it to AdamW"):
        Muon([torch.nn.Parameter(torch.ones(3))])
    with pytest.raises(ValueError, match=r"rows=\(2, 2\) add up to 4, but a matrix has 6 rows"):
        Muon([{"params": [torch.nn.Parameter(torch.ones(6, 2))], "rows": (2, 2)}])
