"""Every master keeps every rule, its solutions are right, and what students get is not written yet."""

import pytest

import microgpt_ref.checks
from book.tools import exercise_rules
from book.tools.exercise_cells import check_calls
from book.tools.exercises import student_notebook
from book.tools.masters import exercises, masters, role
from book.tools.notebook_form import read
from microgpt_ref.course.masters import with_variant

MASTERS = masters()
SEEDS = range(7, 20)


@pytest.fixture
def reports(monkeypatch):
    """The reports of all checks that are called while the test runs."""
    found, real = [], microgpt_ref.checks.check

    def check(*arguments, **settings):
        found.append(real(*arguments, **settings))
        return found[-1]

    monkeypatch.setattr(microgpt_ref.checks, "check", check)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return found


def run(cells, names, unwritten=()):
    """Run the code of the cells in one namespace, as a kernel would.

    Cells whose role is in `unwritten` may end in NotImplementedError.
    """
    for cell in (cell for cell in cells if cell.cell_type == "code" and cell.id != "install"):
        try:
            exec(compile(cell.source, f"cell {cell.id}", "exec"), names)
        except NotImplementedError:
            assert role(cell) in unwritten, f"cell {cell.id} needs what is not written yet"


def calls(cells):
    return [name for cell in cells if role(cell) == "check" for name in check_calls(cell)]


def varied(master):
    """For each exercise with settings, its cells with the first other settings that a seed gives."""
    for number, exercise in enumerate(exercises(master)):
        variants = [exercises(with_variant(master, seed))[number].cells for seed in SEEDS]
        others = [cells for cells in variants if to_code(cells) != to_code(exercise.cells)]
        assert bool(others) == any(role(cell) == "settings" for cell in exercise.cells)
        yield from others[:1]


def to_code(cells):
    return [cell.source for cell in cells if cell.cell_type == "code"]


@pytest.mark.parametrize("rule", exercise_rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_master_keeps_rule(path, rule):
    assert rule(read(path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_solutions_pass_checks_and_hidden_tests(path, reports):
    """As they stand, and once more with other settings where there are any."""
    master, names = read(path), {"__name__": "__main__"}
    run(master.cells, names)
    expected = calls(master.cells)
    for cells in varied(master):
        run(cells, names)
        expected += calls(cells)
    assert [report.exercise for report in reports] == expected
    assert [report.message for report in reports if not report] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_what_students_get_is_not_written_yet(path, reports):
    """Each check says so, and no cell but the stubs of open exercises ends in an error."""
    master = read(path)
    run(student_notebook(master, path.stem).cells, {"__name__": "__main__"}, unwritten=("stub",))
    expected = dict.fromkeys(calls(master.cells), "not_written")
    assert {report.exercise: report.diagnosis for report in reports} == expected
