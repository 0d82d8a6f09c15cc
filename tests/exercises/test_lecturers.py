"""The lecturer's page: its tables come from the masters and from what the checks were tried on."""

import json
import re
import sys

from book.tools import exercises as tool
from book.tools import lecturers
from book.tools.masters import load, masters
from book.tools.notebooks import chapters
from book.tools.repository import ROOT
from microgpt_ref.checks import names

PAGE = (ROOT / f"{lecturers.PAGE}.md").read_text(encoding="utf-8")
INFOS = [exercise.info for path in masters() for exercise in load(path)]


def cells(table):
    """The rows of a Markdown table, without its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_each_place_is_filled_and_none_is_left():
    assert set(re.findall(r"<!-- (.+?) -->", PAGE)) == set(lecturers.PLACES)
    assert "<!--" not in lecturers.page(PAGE)


def test_the_overview_adds_up():
    *rows, total = cells(lecturers.overview())
    assert len(rows) == len(masters())
    assert [sum(int(row[column]) for row in rows) for column in (1, 2, 3)] == [int(n) for n in total[1:]]
    assert int(total[2]) == sum(info.minutes for info in INFOS)
    assert int(total[3]) == sum(info.points for info in INFOS)


def test_each_exercise_has_a_row_with_what_it_trains():
    table = lecturers.each_exercise()
    for info in INFOS:
        row = f"| {info.number}. {info.title} | {info.minutes} | {info.points} | {info.difficulty} |"
        assert table.count(f"{row} {info.kind} | {info.trains} |") == 1


def test_a_semester_has_all_chapters_and_the_short_course_all_but_one():
    written = [path.stem[:2] for path in chapters()]
    assert [chapter for week in lecturers.TWELVE_WEEKS for chapter in week] == written
    short = [chapter for week in lecturers.SIX_WEEKS for chapter in week]
    assert [chapter for chapter in written if chapter not in short] == ["09"]
    assert (len(lecturers.TWELVE_WEEKS), len(lecturers.SIX_WEEKS)) == (12, 6)
    for number in ("11", "13", "15", "16", "17"):
        assert (number in written) != bool(re.search(rf"\b{number} \(\w+\)", PAGE))


def test_a_week_counts_the_minutes_of_its_homework():
    path = masters()[0]
    first = [exercise.info for exercise in load(path)][: lecturers.FIRST]
    row = cells(lecturers.syllabus(((path.stem[:2],),), lecturers.FIRST))[0]
    assert row[0] == "1"
    assert f"(../chapters/{path.name})" in row[1]
    assert row[2:] == ["3", str(sum(i.minutes for i in first)), str(sum(i.points for i in first))]


def test_counts_are_stored_for_the_chapters_that_are_named(tmp_path, monkeypatch):
    """The others keep theirs, and an exercise that is no more loses its row."""

    class Answers:
        @staticmethod
        def count(name):
            return {"wrong": 7, "rejected": 7, "named": 6, "right": 2, "right_accepted": 2, "slowest_s": 0.1}

    path = masters()[0]
    checked = [info.name for info in (e.info for e in load(path)) if info.name in names(path.stem[:2])]
    monkeypatch.setitem(sys.modules, "tests.checks.answers", Answers)
    file = tmp_path / "checkers.json"
    file.write_text(json.dumps({"99.gone": {}}), encoding="utf-8")
    assert tool.count([path.stem], file) == [
        f"{name}: 7 of 7 rejected, 6 named; 2 of 2 right ones accepted" for name in checked
    ]
    assert list(json.loads(file.read_text(encoding="utf-8"))) == sorted(checked)
    monkeypatch.setattr(lecturers, "CHECKERS", file)
    assert f"{len(checked)} checks were tried on {7 * len(checked)} wrong answers." in lecturers.checkers()
    assert f"| {checked[0]} | 7 | 7 | 6 | 2 | 2 |" in lecturers.checkers()


def test_without_counts_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(lecturers, "CHECKERS", tmp_path / "none.json")
    assert "not been counted" in lecturers.checkers()
