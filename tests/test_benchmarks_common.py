"""What the benchmarks share: fair turns, whole files, and no word about whose machine it was."""

import getpass
import json
import platform
import re
from datetime import date
from pathlib import Path

import pytest

from benchmarks import _common

RESULTS = sorted(_common.RESULTS.glob("*.json"))


def test_contestants_take_turns_and_the_first_turn_is_not_counted():
    now, order = [0.0], []

    def contestant(name: str, durations: list[float]):
        def run() -> None:
            order.append(name)
            now[0] += durations.pop(0)

        return run

    times = _common.alternate(
        {"a": contestant("a", [100, 1, 2, 9]), "b": contestant("b", [100, 8, 4, 4])},
        repeats=3,
        clock=lambda: now[0],
    )
    assert order == ["a", "b"] * 4
    assert times["a"] == {"median_s": 2, "fastest_s": 1, "slowest_s": 9, "runs": 3}
    assert times["b"]["median_s"] == 4
    assert _common.ratio(times, "a", "b") == 0.5


def test_a_result_says_when_where_and_with_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_common, "RESULTS", tmp_path / "results")
    path = _common.write_result("test", {"seconds": 1.5}, ("numpy", "no-such-package"))
    result = json.loads(path.read_text())
    assert [*result] == ["date", "machine", "versions", "seconds"]
    date.fromisoformat(result["date"])
    assert result["versions"]["no-such-package"] == "absent"
    assert re.match(r"\d+\.\d+", result["versions"]["numpy"])
    assert result["machine"]["cores"] >= 1
    assert [p.name for p in path.parent.iterdir()] == ["test.json"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_stored_results_name_no_host_user_or_folder(path: Path):
    text = path.read_text(encoding="utf-8")
    json.loads(text)
    for private in {platform.node(), str(Path.home()), str(Path.cwd()), f"/home/{getpass.getuser()}"} - {
        "",
        "/",
    }:
        assert not re.search(rf"(?<!\w){re.escape(private)}(?!\w)", text), private
