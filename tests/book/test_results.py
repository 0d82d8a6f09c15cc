"""Measured numbers reach README and the book from the result files alone."""

import json

import pytest

from book.tools import results
from book.tools.results import ResultError, fill, load, number, page, readme_table

GOOD = {
    "title": "Training",
    "command": "python -m benchmarks.training",
    "date": "2026-11-20",
    "seconds": 170.4,
    "machine": {"processor": "a processor", "cores": 2},
    "measured": [
        {"what": "loss", "value": 1.7512, "unit": "nats", "digits": 3, "target": 1.88, "better": "lower"}
        | {"readme": True},
        {"what": "speed", "value": 12345.6, "unit": "tokens/s", "target": 20000, "better": "higher"}
        | {"source": "x"},
        {"what": "size", "value": 4, "unit": "MB"},
    ],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "training.json").write_text(json.dumps(GOOD), encoding="utf-8")
    return tmp_path


def test_readme_holds_what_was_measured():
    text = (results.ROOT / "README.md").read_text(encoding="utf-8")
    assert fill(text, readme_table(load())) == text, "run: make figures"


def test_every_result_file_of_this_project_can_be_shown():
    names = [path.stem for path in results.RESULTS.glob("*.json")]
    shown = page(load())
    assert sorted(names) == [result.name for result in load()]
    assert all(result.command in shown for result in load())


def test_the_page_shows_value_target_machine_and_command(folder):
    shown = page(load(folder))
    assert "| loss | 1.751 nats | ≤ 1.880: met |" in shown
    assert "| speed | 12,346 tokens/s | ≥ 20,000: **not met**. x |" in shown
    assert "| size | 4 MB |  |" in shown
    assert "Measured on 2026-11-20: processor a processor, cores 2. It took 170 seconds." in shown
    assert "`python -m benchmarks.training`" in shown


def test_readme_takes_the_marked_rows_only(folder):
    table = readme_table(load(folder))
    assert "| loss |" in table
    assert "speed" not in table
    assert "a processor" in table


def test_an_old_number_in_readme_is_noticed(folder):
    text = f"# T\n\n{results.START}\n\n{results.END}\n\nrest\n"
    filled = fill(text, readme_table(load(folder)))
    assert filled.endswith(f"{results.END}\n\nrest\n")
    assert fill(filled, readme_table(load(folder))) == filled
    changed = {**GOOD, "measured": [{**GOOD["measured"][0], "value": 1.9}]}
    (folder / "training.json").write_text(json.dumps(changed), encoding="utf-8")
    assert fill(filled, readme_table(load(folder))) != filled


def test_nothing_measured_is_said(tmp_path):
    assert page(load(tmp_path)) == readme_table(load(tmp_path)) == results.NOTHING


@pytest.mark.parametrize("field", ["title", "command", "date", "machine", "measured"])
def test_a_missing_field_is_named(folder, field):
    broken = {key: value for key, value in GOOD.items() if key != field}
    (folder / "training.json").write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(ResultError, match=f"training.json has no '{field}'"):
        load(folder)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"what": "x", "value": 1}, "no 'unit'"),
        ({"what": "x", "value": 1, "unit": "s", "target": 2}, "lower"),
    ],
)
def test_a_broken_row_is_named(folder, row, says):
    (folder / "training.json").write_text(json.dumps({**GOOD, "measured": [row]}), encoding="utf-8")
    with pytest.raises(ResultError, match=says):
        load(folder)


def test_half_a_file_is_named(folder):
    (folder / "training.json").write_text(json.dumps(GOOD)[:100], encoding="utf-8")
    with pytest.raises(ResultError, match=r"training\.json is not JSON"):
        load(folder)


def test_a_readme_without_marks_is_refused():
    with pytest.raises(ResultError, match="once each"):
        fill("# T", "x")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.48159, None, "1.482"), (1.48159, 2, "1.48"), (13450, None, "13,450"), (3.0, None, "3"),
     (0.00012345, None, "0.0001234")],
)  # fmt: skip
def test_numbers(value, digits, text):
    assert number(value, digits) == text
