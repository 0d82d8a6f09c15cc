"""The CSV: exact, harmless in a spreadsheet, never over somebody's own changes; what an earlier run knew."""

from pathlib import Path

import pytest

from microgpt_ref.course.grade import Grade
from microgpt_ref.course.ledger import Ledger

HEADER = "student,assignment,04.a,04.b,total,max,outstanding,reason\n"


def row(student: str = "ann", *reasons: str, stopped: str | None = None) -> Grade:
    return Grade(student, "04_small", {"04.a": 2.0, "04.b": None}, 6.0, 4.0, list(reasons), stopped)


def test_the_table(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "g.csv", ["04.a", "04.b"])
    ledger.add(row("zoe", "one, two", "three"), "x", [1, 2])
    ledger.add(row("ann"), "x", [1, 2])
    text = 'ann,04_small,2,,2,6,4,\nzoe,04_small,2,,2,6,4,"one, two; three"\n'
    assert (tmp_path / "g.csv").read_text() == HEADER + text


def test_a_spreadsheet_computes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "g.csv", [])
    ledger.add(row("=cmd|' /C calc'!A0", "@SUM(1)\r\n\x1b[31mred"), "x", [])
    assert "\n'=cmd|" in (tmp_path / "g.csv").read_text()
    assert ",'@SUM(1)   [31mred\n" in (tmp_path / "g.csv").read_text()


def test_the_same_content_is_known_again(tmp_path: Path) -> None:
    Ledger(tmp_path / "g.csv", []).add(row(), "x", [1, 2])
    again = Ledger(tmp_path / "g.csv", [])
    assert again.recall("ann", "04_small", "y", [1, 2]) is None
    assert again.recall("bob", "04_small", "x", [1, 2]) is None
    assert again.recall("ann", "04_small", "x", [3, 4]) == row()


def test_what_was_stopped_gets_another_chance_with_other_limits(tmp_path: Path) -> None:
    Ledger(tmp_path / "g.csv", []).add(row(stopped="time"), "x", [1, 2])
    again = Ledger(tmp_path / "g.csv", [])
    assert again.recall("ann", "04_small", "x", [3, 2]) is None
    assert again.recall("ann", "04_small", "x", [1, 2]) is not None


@pytest.mark.parametrize("with_state", [False, True])
def test_somebody_elses_file_is_left_alone(tmp_path: Path, *, with_state: bool) -> None:
    if with_state:
        Ledger(tmp_path / "g.csv", []).add(row(), "x", [])
    (tmp_path / "g.csv").write_text("my own points")
    with pytest.raises(FileExistsError, match="move it away"):
        Ledger(tmp_path / "g.csv", [])
    assert (tmp_path / "g.csv").read_text() == "my own points"


def test_a_stop_between_the_two_files(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "g.csv", [])
    ledger.add(row(), "x", [])
    before = (tmp_path / "g.csv").read_text()
    ledger.add(row("bob"), "x", [])
    (tmp_path / "g.csv").write_text(before)  # as if only the state had been written
    assert Ledger(tmp_path / "g.csv", []).recall("bob", "04_small", "x", []) is not None
