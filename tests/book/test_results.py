"""Measured numbers reach README and the book from the result files alone."""

import json

import pytest
import yaml

from book.tools import results
from book.tools.results import ResultError, fill, load, number, page, readme_table

GOOD = {
    "date": "2026-11-20",
    "machine": {"processor": "a processor", "cores": 2},
    "versions": {"torch": "2.13.0"},
    "loss": {"validation": 1.7512, "nanogpt": 1.88},
    "runs": [{"speed": 12345.6}],
}
WORDS = {
    "training": {
        "title": "Training",
        "note": "Two cores.",
        "rows": [
            {"what": "loss", "value": "loss.validation", "unit": "nats", "digits": 3}
            | {"target": "loss.nanogpt", "better": "lower", "readme": True},
            {"what": "speed", "value": "runs.0.speed", "unit": "tokens/s"}
            | {"target": 20000, "better": "higher", "source": "x"},
        ],
    }
}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    return tmp_path


def write(folder, data=GOOD, words=WORDS):
    (folder / "training.json").write_text(json.dumps(data), encoding="utf-8")
    (folder / "words.yml").write_text(yaml.safe_dump(words), encoding="utf-8")


def loaded(folder):
    return load(folder, folder / "words.yml")


def test_readme_holds_what_was_measured():
    text = (results.ROOT / "README.md").read_text(encoding="utf-8")
    assert fill(text, readme_table(load())) == text, "run: make figures"


def test_every_result_file_of_this_project_is_shown():
    names = {path.stem for path in results.RESULTS.glob("*.json")}
    shown = page(load())
    assert {result.name for result in load() if result.date} == names
    assert all(f"`{result.command}`" in shown for result in load())


def test_the_words_are_about_benchmarks_that_exist():
    for name in yaml.safe_load(results.WORDS.read_text(encoding="utf-8")):
        assert (results.ROOT / "benchmarks" / f"{name}.py").is_file(), name


def test_the_page_shows_value_target_machine_and_command(folder):
    shown = page(loaded(folder))
    assert "## Training\n\nTwo cores.\n" in shown
    assert "| loss | 1.751 nats | ≤ 1.880 met |" in shown
    assert "| speed | 12,346 tokens/s | ≥ 20,000 **not met**; x |" in shown
    assert "Measured on 2026-11-20: processor a processor, cores 2, torch 2.13.0." in shown
    assert "`python -m benchmarks.training`" in shown


def test_a_file_without_words_is_shown_whole(folder):
    write(folder, words={})
    shown = page(loaded(folder))
    assert "| `loss.validation` | 1.751 |" in shown
    assert "| `runs.0.speed` | 12,346 |" in shown


def test_a_file_may_bring_its_own_words(folder):
    rows = [{"what": "loss", "value": 1.8, "unit": "nats", "digits": 2, "target": 1.88, "better": "lower"}]
    own = {**GOOD, "title": "Own", "command": "run me", "about": "By itself.", "measured": rows}
    write(folder, own, words={})
    shown = page(loaded(folder))
    assert "## Own\n\nBy itself.\n" in shown
    assert "| loss | 1.80 nats | ≤ 1.88 met |" in shown
    assert "repeat it: `run me`" in shown
    write(folder, {**own, "measured": [{"what": "loss"}]}, words={})
    with pytest.raises(ResultError, match=r"a row about training\.json has no 'value'"):
        loaded(folder)


def test_what_is_still_to_be_measured_is_shown_as_such(folder):
    missing = {**WORDS["training"], "missing": "No such machine."}
    write(folder, words={"elsewhere": missing, "nowhere": WORDS["training"], **WORDS})
    shown = page(loaded(folder))
    assert [result.name for result in loaded(folder)] == ["elsewhere", "training"]
    assert "No such machine. Two cores." in shown
    assert "| loss | not measured | ≤ 1.880 |" not in shown  # the target was in the file, too
    assert "| loss | not measured |" in shown
    assert "| speed | not measured | ≥ 20,000; x |" in shown
    assert "To measure it: `python -m benchmarks.elsewhere`." in shown
    assert "not measured" not in readme_table(loaded(folder))
    write(folder, {**GOOD, "runs": []}, words={"training": missing})
    shown = page(loaded(folder))
    assert "No such machine" not in shown
    assert "| loss | 1.751 nats | ≤ 1.880 met |" in shown
    assert "| speed | not measured | ≥ 20,000; x |" in shown


def test_readme_takes_the_marked_rows_only(folder):
    table = readme_table(loaded(folder))
    assert "| loss |" in table
    assert "speed" not in table
    assert "a processor" in table


def test_an_old_number_in_readme_is_noticed(folder):
    text = f"# T\n\n{results.START}\n\n{results.END}\n\nrest\n"
    filled = fill(text, readme_table(loaded(folder)))
    assert filled.endswith(f"{results.END}\n\nrest\n")
    assert fill(filled, readme_table(loaded(folder))) == filled
    write(folder, {**GOOD, "loss": {"validation": 1.9, "nanogpt": 1.88}})
    assert "1.900 nats | ≤ 1.880 **not met** |" in fill(filled, readme_table(loaded(folder)))


def test_nothing_measured_is_said(tmp_path):
    (tmp_path / "words.yml").write_text("", encoding="utf-8")
    assert page(loaded(tmp_path)) == readme_table(loaded(tmp_path)) == results.NOTHING


@pytest.mark.parametrize("field", ["date", "machine"])
def test_a_missing_field_is_named(folder, field):
    write(folder, {key: value for key, value in GOOD.items() if key != field})
    with pytest.raises(ResultError, match=rf"training\.json has no '{field}'"):
        loaded(folder)


def test_a_value_that_is_not_there_is_named(folder):
    write(folder, {**GOOD, "loss": {"train": 1.0}})
    with pytest.raises(ResultError, match=r"'loss\.validation', but training\.json has no 'validation'"):
        loaded(folder)


def test_a_target_without_a_direction_is_named(folder):
    write(folder, words={"training": {"title": "T", "rows": [{"what": "x", "value": "date", "target": 1}]}})
    with pytest.raises(
        ResultError, match=r"'x' about training\.json has a target; say better: lower or higher"
    ):
        loaded(folder)


def test_half_a_file_is_named(folder):
    (folder / "training.json").write_text(json.dumps(GOOD)[:50], encoding="utf-8")
    with pytest.raises(ResultError, match=r"training\.json is not JSON"):
        loaded(folder)


def test_a_readme_without_marks_is_refused():
    with pytest.raises(ResultError, match="once each"):
        fill("# T", "x")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.48159, None, "1.482"),
        (1.48159, 2, "1.48"),
        (13450, None, "13,450"),
        (3.0, None, "3"),
        (0.00012345, None, "0.0001234"),
        (True, None, "yes"),
        ("words", None, "words"),
    ],
)
def test_numbers(value, digits, text):
    assert number(value, digits) == text
