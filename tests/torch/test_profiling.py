"""The profile of a step adds up, puts each call where it belongs, and counts the bytes it held."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType
from torch.nn import functional

from microgpt_ref.config import GPTConfig
from microgpt_ref.torch import GPT, profiling
from microgpt_ref.torch.optim import build_adamw
from microgpt_ref.torch.profiling import KINDS, profile_step

CONFIG = GPTConfig(vocab_size=17, context=32, d_model=32, n_layer=1, n_head=2)
TOKENS = torch.zeros(2, 32, dtype=torch.int64)


@pytest.fixture(scope="module")
def whole():
    """A training step of a small model."""
    model = GPT(CONFIG)
    optimizer = build_adamw(model, 1e-3, 0.9, 0.99, 0.1)

    def step() -> None:
        with torch.profiler.record_function("data"):
            tokens = TOKENS.clone()
        model.loss(tokens, tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return profile_step(step)


def test_a_training_step_has_work_of_every_kind(whole):
    assert tuple(whole.kinds) == KINDS
    assert min(whole.kinds.values()) > 0
    assert sum(whole.share(kind) for kind in KINDS) == pytest.approx(1)
    assert whole.seconds > 0


def test_the_table_has_a_line_a_kind_and_fits_a_phone(whole):
    lines = str(whole).splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == list(KINDS)
    assert max(map(len, lines)) <= 60


MATRIX, LONG, HEADS = torch.randn(512, 512), torch.randn(2**20), torch.randn(8, 8, 256, 32)
STEPS = {
    "matmul": lambda: MATRIX @ MATRIX,
    "elementwise": lambda: functional.gelu(LONG),
    "attention": lambda: functional.scaled_dot_product_attention(HEADS, HEADS, HEADS),
    "other": lambda: time.sleep(0.02),
}


def best_share(step, kind: str) -> float:
    """Of three tries the highest: on a busy machine a step may be put aside at any place."""
    return max(profile_step(step, repeats=2).share(kind) for _ in range(3))


@pytest.mark.parametrize("kind", STEPS)
def test_most_of_a_step_of_one_kind_is_of_that_kind(kind):
    assert best_share(STEPS[kind], kind) > 0.6


def test_the_kinds_together_are_one_step_not_all_repeats():
    profiles = [profile_step(STEPS["other"], repeats=2) for _ in range(3)]
    assert min(profile.watched_seconds for profile in profiles) == pytest.approx(0.02, rel=0.5)
    assert min(profile.seconds for profile in profiles) == pytest.approx(0.02, rel=0.5)


def test_what_an_optimizer_multiplies_and_what_data_copies_is_theirs():
    class Squares(torch.optim.SGD):
        def step(self, closure=None):  # type: ignore[override]
            matrix = torch.ones(400, 400)
            return matrix @ matrix

    optimizer = Squares([torch.zeros(1, requires_grad=True)], lr=0.1)
    assert best_share(optimizer.step, "optimizer") > 0.6

    def data() -> None:
        with torch.profiler.record_function("data"):
            torch.ones(2**20).clone()

    assert best_share(data, "data") > 0.6


def test_memory_is_the_most_that_was_held_at_once():
    def step() -> None:
        first = torch.ones(2**20)  # 4 MiB
        second = first + 1
        del first, second
        torch.ones(2**19)

    assert profile_step(step, repeats=1).memory == pytest.approx(2 * 4 * 2**20, rel=0.01)


@pytest.mark.parametrize(
    ("name", "callers", "kind"),
    [
        ("aten::addmm", ("aten::linear",), "matmul"),
        ("aten::linear", (), "other"),
        ("aten::bmm", ("aten::matmul",), "matmul"),
        ("aten::_softmax", ("aten::softmax",), "elementwise"),
        ("aten::bmm", ("aten::scaled_dot_product_attention",), "attention"),
        ("aten::copy_", ("aten::_to_copy",), "elementwise"),
        ("aten::view", (), "other"),
        ("aten::mm", ("Optimizer.step#Muon.step",), "optimizer"),
        ("aten::linalg_vector_norm", ("aten::_foreach_norm",), "optimizer"),
        ("## Call CompiledFxGraph abc ##", ("CompiledFunction",), "elementwise"),
        ("aten::index", ("data",), "data"),
        ("database", (), "other"),
    ],
)
def test_a_call_goes_where_it_belongs(name, callers, kind):
    assert profiling.kind_of(name, callers) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nvjet_tst_128x256_64x4_1x2_h_bz_coopA_NNT", "matmul"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n", "matmul"),
        ("void pytorch_flash::flash_fwd_kernel<...>", "attention"),
        ("triton_poi_fused_gelu_3", "elementwise"),
        ("void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimizer"),
        ("Memcpy HtoD (Pinned -> Device)", "data"),
    ],
)
def test_a_kernel_goes_where_it_belongs(name, kind):
    assert profiling.kind_of_kernel(name) == kind


def test_on_a_gpu_only_kernels_count():
    """Without a GPU here: the events that one would give."""
    kernel = SimpleNamespace(device_type=DeviceType.CUDA, name="sm90_gemm", self_device_time_total=3e6)
    span = SimpleNamespace(device_type=DeviceType.CUDA, name=profiling.STEP, self_device_time_total=9e6)
    call = SimpleNamespace(device_type=DeviceType.CPU, name="aten::mm", self_cpu_time_total=5e6)
    assert profiling._by_kind([kernel, span, call]) == {**dict.fromkeys(KINDS, 0.0), "matmul": 3.0}


def test_no_repeats_is_an_error():
    with pytest.raises(ValueError, match="repeats=0 is below 1"):
        profile_step(lambda: None, repeats=0)
