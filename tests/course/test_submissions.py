"""What was handed in: the layouts, the recognition, the restored cells."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from microgpt_ref.course.masters import student_version
from microgpt_ref.course.submissions import Assignment, handed_in, matched, problem_of, restored
from tests.course.fixtures import NAME, small_master, with_sources

RELEASE = student_version(small_master())
ASSIGNMENT = Assignment(NAME, RELEASE, Path("none.db"), "digest")


def write(path: Path, notebook: nbformat.NotebookNode = RELEASE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def ids(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]


def test_the_layouts(tmp_path: Path) -> None:
    paths = {
        "ann": write(tmp_path / "ann.ipynb"),
        "bob": write(tmp_path / "bob" / "homework.ipynb"),
        "cy": write(tmp_path / "cy" / NAME / f"{NAME}.ipynb"),
    }
    write(tmp_path / "cy" / NAME / ".ipynb_checkpoints" / f"{NAME}-checkpoint.ipynb")
    write(tmp_path / ".hidden" / "a.ipynb")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "dan").mkdir()
    found = handed_in(tmp_path)
    assert found == {name: [path] for name, path in paths.items()} | {"dan": []}
    for name, path in paths.items():
        (submission,) = matched(name, found[name], [ASSIGNMENT])
        assert (submission.path, submission.problem) == (path, "")
    assert matched("dan", [], [ASSIGNMENT])[0].problem == "nothing handed in"


def test_several_assignments_are_told_apart_by_their_cells(tmp_path: Path) -> None:
    other = with_sources(RELEASE)
    for cell in other.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.grade_id += "-other"
    second = Assignment("05_other", other, Path("none.db"), "digest")
    paths = [write(tmp_path / "a.ipynb", other), write(tmp_path / "b.ipynb")]
    found = matched("ann", paths, [ASSIGNMENT, second])
    assert [submission.path for submission in found] == [paths[1], paths[0]]


def test_no_submissions(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        handed_in(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"alice\.ipynb"):
        handed_in(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "[1]",
        '{"cells": 3}',
        "[" * 100_000,
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": [1]}),
    ],
)
def test_what_is_no_notebook(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    assert problem_of(tmp_path / "a.ipynb") == "not a notebook"


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "real.ipynb")
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "real.ipynb")
    assert problem_of(tmp_path / "link.ipynb") == "not a plain file"


def test_nothing_to_restore() -> None:
    notebook, gone = restored(RELEASE, RELEASE)
    assert not gone
    assert ids(notebook) == ids(RELEASE)
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in RELEASE.cells]


def test_deleted_checks_come_back_in_their_places() -> None:
    handed = with_sources(RELEASE)
    handed.cells = [cell for cell in handed.cells if cell.id not in ("check-double", "check-window")]
    notebook, gone = restored(handed, RELEASE)
    assert gone == ["check-double", "check-window-sum"]
    assert ids(notebook) == ids(RELEASE)


def test_metadata_that_an_editor_lost_is_found_by_id_and_text() -> None:
    handed = with_sources(RELEASE, solve_double="def double(x): return 2 * x")
    for number, cell in enumerate(handed.cells):
        cell.metadata = {}
        if number % 2 and cell.id.startswith(("check", "settings")):
            cell.id = f"new-{number}"
    notebook, gone = restored(handed, RELEASE)
    assert not gone
    assert ids(notebook) == ids(RELEASE)


def test_only_kinds_and_texts_are_the_students() -> None:
    handed = with_sources(RELEASE)
    for cell in handed.cells:
        cell.metadata["tags"] = ["skip-execution"]
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader["points"] = 99
            cell.metadata.nbgrader["grade"] = True
    notebook, _ = restored(handed, RELEASE)
    for cell, asked in zip(notebook.cells, RELEASE.cells, strict=True):
        assert cell.metadata.get("nbgrader") == asked.metadata.get("nbgrader")
        assert "tags" not in cell.metadata


def test_of_two_copies_the_last_counts() -> None:
    handed = with_sources(RELEASE)
    extra = with_sources(RELEASE, solve_double="second").cells[3]
    extra.id = "copy"
    handed.cells.insert(4, extra)
    notebook, _ = restored(handed, RELEASE)
    assert ids(notebook) == ids(RELEASE)
    marked = [cell.source for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert marked[0] == "second"


def test_a_foreign_notebook_lacks_everything() -> None:
    _, gone = restored(new_notebook(cells=[new_code_cell("1 + 1")]), RELEASE)
    assert gone == ["check-double", "check-window-sum", "answer-why"]
