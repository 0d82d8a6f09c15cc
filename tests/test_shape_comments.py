"""Every shape comment of `microgpt_ref` is the shape that its line gives, and a wrong one is noticed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from book.tools.notebook_form import NotebookError
from book.tools.package_shapes import commented_places

ROOT = Path(__file__).resolve().parents[1]


class Mistake(NamedTuple):
    """`old` stands once in a file; with `new` in its place the check must say this and have seen that."""

    file: str
    old: str
    new: str
    said: str
    seen: str
    run: str


MISTAKES = {
    "axes exchanged": Mistake(
        "numpy/attention.py",
        "@ k.swapaxes(-1, -2)  # (B, H, T, T)",
        "@ k.swapaxes(-1, -2)  # (H, B, T, T)",
        "(H, B, T, T)",
        "(5, 6, 7, 7)",
        "numpy",
    ),
    "heads for channels": Mistake(
        "numpy/gpt.py",
        "embed(tokens, parameters, config, rng)  # (B, T, C)",
        "embed(tokens, parameters, config, rng)  # (B, T, H)",
        "(B, T, H)",
        "(5, 7, 24)",
        "numpy",
    ),
    "a kept axis for a whole one": Mistake(
        "numpy/norm.py",
        "(variance + eps)  # (..., 1)",
        "(variance + eps)  # (..., C)",
        "(..., C)",
        "(7, 8, 1)",
        "numpy",
    ),
    "key heads forgotten": Mistake(
        "jax/attention.py", "# (B, T, C + 2 kv_width)", "# (B, T, 3C)", "(B, T, 3C)", "(5, 7, 48)", "jax"
    ),
    "a missing axis": Mistake(
        "jax/gpt.py",
        "counted = targets >= 0  # (B, T)",
        "counted = targets >= 0  # (B,)",
        "(B,)",
        "(5, 7)",
        "jax",
    ),
    "a whole head for its half": Mistake(
        "torch/attention.py",
        "x.chunk(2, dim=-1)  # (B, H, T, D/2) each",
        "x.chunk(2, dim=-1)  # (B, H, T, D) each",
        "(B, H, T, D) each",
        "(5, 6, 7, 2), (5, 6, 7, 2)",
        "torch",
    ),
    "the batch for the vocabulary": Mistake(
        "torch/sample.py",
        "probabilities = logits.softmax(-1)  # (B, V)",
        "probabilities = logits.softmax(-1)  # (V, B)",
        "(V, B)",
        "(5, 17)",
        "torch",
    ),
    "the targets forgotten": Mistake(
        "evaluate.py", ".to(device)  # (B, T + 1)", ".to(device)  # (B, T)", "(B, T)", "(5, 10)", "text"
    ),
    "code transposed, comment right": Mistake(
        "numpy/ffn.py",
        "hidden, saved_activation = activation(before)  # (B, T, F)",
        "hidden, saved_activation = activation(before.swapaxes(0, 1))  # (B, T, F)",
        "(B, T, F)",
        "(7, 5, 40)",
        "numpy",
    ),
}


@pytest.fixture(scope="module")
def driven() -> dict[str, Any]:
    """What the driver found: it runs in a process of its own, so that other tests keep the plain modules."""
    mistakes = [(f"microgpt_ref/{m.file}", m.old, m.new, m.run) for m in MISTAKES.values()]
    command = [sys.executable, "-m", "tests.shape_driver"]
    result = subprocess.run(command, cwd=ROOT, input=json.dumps(mistakes), capture_output=True, text=True)
    if result.returncode:
        wrong = [line for line in result.stderr.splitlines() if "Error: " in line]
        pytest.fail("\n".join(wrong) or result.stderr, pytrace=False)
    return json.loads(result.stdout)


@pytest.mark.slow
def test_every_comment_of_the_package_was_checked(driven):
    assert len(driven["places"]) > 100
    missed = sorted(set(driven["places"]) - set(driven["reached"]))
    assert not missed, f"let tests/shape_driver.py run these lines too: {missed}"


@pytest.mark.slow
def test_no_wrong_letter_exchanged_axes_or_missing_axis_could_pass(driven):
    assert driven["survivors"] == {}, "these wrong versions of the comments would have passed as well"


@pytest.mark.slow
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_fails_with_file_line_said_and_seen(driven, name):
    mistake, message = MISTAKES[name], driven["messages"][list(MISTAKES).index(name)]
    before, _, _ = (ROOT / "microgpt_ref" / mistake.file).read_text(encoding="utf-8").partition(mistake.old)
    place = f"microgpt_ref/{mistake.file}, line {before.count(chr(10)) + 1}"
    said_and_seen = f"the comment says {mistake.said}, the shape is {mistake.seen}; letters: "
    assert message.startswith(f"{place}: {said_and_seen}"), message


def test_every_comment_of_the_package_can_be_checked():
    assert commented_places(ROOT)


def test_a_comment_that_cannot_be_checked_is_refused_with_its_file(tmp_path):
    (tmp_path / "microgpt_ref").mkdir()
    (tmp_path / "microgpt_ref" / "new.py").write_text("x = 1\ny = f(x)  # (B, T')\n", encoding="utf-8")
    with pytest.raises(NotebookError, match=r"microgpt_ref/new.py, line 2: \(B, T'\) is no shape"):
        commented_places(tmp_path)
