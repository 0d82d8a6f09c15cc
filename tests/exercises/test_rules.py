"""Each rule can fail: a sound master passes all, and a fault in it is found by the rule for such faults."""

import pytest
from nbformat.v4 import new_code_cell

from book.tools import exercise_cells
from book.tools import exercise_rules as rules
from tests.exercises.sample import HINTS, NAMES, cell_of, copy_of, sound

SOUND = sound()


@pytest.fixture(autouse=True)
def checks_of_the_sample(monkeypatch):
    monkeypatch.setattr(exercise_cells, "names_of_checks", lambda chapter: NAMES)


def replace(name, old, new):
    """A fault: other words in the cell of that name."""

    def spoil(notebook):
        cell = cell_of(notebook, name)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return spoil


def tell(name, /, **fields):
    """A fault: other metadata of the exercise in the cell of that name."""
    return lambda notebook: cell_of(notebook, name).metadata.exercise.update(fields)


def grade(name, /, **fields):
    return lambda notebook: cell_of(notebook, name).metadata.nbgrader.update(fields)


def vary(name, /, **settings):
    return lambda notebook: cell_of(notebook, name).metadata.update(exercise_variant=settings)


def remove(*names):
    return lambda notebook: [notebook.cells.remove(cell_of(notebook, name)) for name in names]


def all_of(slug):
    return [f"{part}-{slug}" for part in ("exercise", "solve", "check", "hints")]


FAULTS = {
    "an output": ("is_in_normal_form", lambda nb: cell_of(nb, "setup").update(execution_count=1)),
    "another time under the heading": ("is_in_normal_form", replace("exercise-double", "*5 min", "*6 min")),
    "foreign metadata": ("is_in_normal_form", lambda nb: nb.metadata.update(colab={})),
    "no title": ("starts_with_title_and_setup", replace("title", "# Exercises", "# Tasks")),
    "no install": ("starts_with_title_and_setup", remove("install")),
    "another install": ("starts_with_title_and_setup", replace("install", "%pip", "!pip")),
    "untagged install": ("starts_with_title_and_setup", lambda nb: cell_of(nb, "install").metadata.clear()),
    "no check imported": ("starts_with_title_and_setup", replace("setup", "import check", "import *")),
    "minutes as a word": ("metadata_are_complete", tell("exercise-double", minutes="5")),
    "nothing trained": ("metadata_are_complete", tell("exercise-double", trains="")),
    "an unknown kind": ("metadata_are_complete", tell("exercise-double", kind="riddle")),
    "an unknown difficulty": ("metadata_are_complete", tell("exercise-double", difficulty="brutal")),
    "an unknown field": ("metadata_are_complete", tell("exercise-double", level=3)),
    "too few": ("exercises_are_numbered_and_named", remove(*all_of("double"), *all_of("how-many"))),
    "a number twice": ("exercises_are_numbered_and_named", replace("exercise-halve", "## 3.", "## 2.")),
    "the name of another chapter": (
        "exercises_are_numbered_and_named",
        tell("exercise-halve", name="05.halve"),
    ),
    "a name twice": ("exercises_are_numbered_and_named", tell("exercise-halve", name="04.double")),
    "shorter at the end": ("minutes_grow", tell("exercise-how-many", minutes=5)),
    "long at once": ("minutes_grow", tell("exercise-double", minutes=15)),
    "nothing long": ("minutes_grow", tell("exercise-why", minutes=20)),
    "no prediction": ("kinds_are_mixed", tell("exercise-how-many", kind="code")),
    "too little code": ("kinds_are_mixed", tell("exercise-halve", kind="prediction")),
    "nothing open": ("kinds_are_mixed", tell("exercise-why", kind="code")),
    "a stub missing": ("kinds_are_mixed", remove("solve-halve")),
    "an explanation that nothing tests": ("kinds_are_mixed", tell("exercise-why", kind="explanation")),
    "no answer cell": ("kinds_are_mixed", remove("answer-why")),
    "no rubric": ("open_ones_have_a_rubric", replace("exercise-why", "criterion", "part")),
    "another sum": ("open_ones_have_a_rubric", replace("exercise-why", "| 3 |", "| 4 |")),
    "two hints": ("hints_are_three", replace("hints-double", "Hint 3", "Hint 2")),
    "an empty hint": (
        "hints_are_three",
        lambda nb: cell_of(nb, "hints-double").update(source=HINTS.replace("Think.", "", 1)),
    ),
    "no hints": ("hints_are_three", remove("hints-double")),
    "words between hints": (
        "hints_are_three",
        replace("hints-double", "<details><summary>Hint 2", "Or\n<details><summary>Hint 2"),
    ),
    "an unlocked check": ("grading_is_right", grade("check-double", locked=False)),
    "a locked stub": ("grading_is_right", grade("solve-double", locked=True)),
    "another schema": ("grading_is_right", grade("solve-double", schema_version=2)),
    "a grade_id twice": ("grading_is_right", grade("solve-double", grade_id="solve-halve")),
    "a strange grade_id": ("grading_is_right", grade("solve-double", grade_id="cell-1")),
    "points for a stub": ("grading_is_right", grade("solve-double", points=1)),
    "a solution in a check": ("grading_is_right", replace("check-double", "HIDDEN TESTS", "SOLUTION")),
    "an unmarked solution": ("grading_is_right", replace("solve-double", "### BEGIN SOLUTION", "# here")),
    "other points": ("points_add_up", grade("check-double", points=3)),
    "no assert": ("hidden_tests_stand_alone", replace("check-double", "assert x is not None", "x")),
    "one line": ("hidden_tests_stand_alone", replace("check-double", "x = double([4])\n", "")),
    "nine lines": ("hidden_tests_stand_alone", replace("check-double", "x = double([4])\n", "x = 1\n" * 8)),
    "check in the hidden tests": ("hidden_tests_stand_alone", replace("check-double", "x is", "check is")),
    "code after the hidden tests": (
        "hidden_tests_stand_alone",
        replace("check-double", "END HIDDEN TESTS", "END HIDDEN TESTS\n1"),
    ),
    "no example": ("stubs_say_what_goes_in_and_out", replace("solve-double", "Example: ", "")),
    "no docstring": ("stubs_say_what_goes_in_and_out", replace("solve-double", '"""What', 'x = """What')),
    "an argument without type": (
        "stubs_say_what_goes_in_and_out",
        replace("solve-double", "numbers: list[int]", "numbers"),
    ),
    "a result without type": ("stubs_say_what_goes_in_and_out", replace("solve-double", " -> int", "")),
    "only one setting": ("settings_vary", remove("settings-halve")),
    "a default that is no choice": ("settings_vary", vary("settings-halve", PARTS=[2, 3])),
    "one choice": ("settings_vary", vary("settings-halve", PARTS=[4])),
    "a setting that is not there": ("settings_vary", vary("settings-halve", SIZE=[3, 4])),
    "a setting that the text hides": ("settings_vary", replace("exercise-halve", "`PARTS`", "it")),
    "a setting without use": ("settings_vary", replace("solve-halve", "PARTS", "2")),
    "another exercise's check": ("checks_exist", replace("check-double", "04.double", "04.halve")),
    "an unknown check": ("checks_exist", replace("check-double", "04.double", "04.dubble")),
    "a directive": ("prose_is_plain_markdown", replace("exercise-double", "Do it", "{cite}`shannon`")),
    "a semicolon": ("no_semicolon_hides_output", replace("given", "3)", "3);")),
    "a long cell": ("code_is_short", lambda nb: nb.cells.append(new_code_cell("1\n" * 40, id="long"))),
    "a dead link": ("links_resolve", replace("exercise-double", "Do it", "[x](../chapters/99_x.ipynb)")),
}


def test_a_sound_master_passes():
    assert rules.faults(SOUND) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found(fault):
    name, spoil = FAULTS[fault]
    notebook = copy_of(SOUND)
    spoil(notebook)
    found = [text for text in rules.faults(notebook) if text.startswith(f"{name}: ")]
    assert found != []


def test_every_rule_is_tried():
    assert {name for name, _ in FAULTS.values()} == {rule.__name__ for rule in rules.RULES}
