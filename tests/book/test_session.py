"""The page of the recorded session shows the whole recording, and nothing else."""

import json
import re

import pytest

from book.tools import session
from microgpt_ref import stories

RECORDED = {
    "date": "2026-11-21",
    "machine": {"processor": "Abacus", "cores": 2},
    "lines": [
        {"seconds": 0.0, "text": "$ microgpt finetune"},
        {"seconds": 12.3, "text": "word " * 40},
        {"seconds": 13.0, "text": ""},
    ],
    "graded": [{"right": True}, {"right": False}],
}


def test_every_line_is_there_with_its_second() -> None:
    shown = session.console(RECORDED["lines"])
    assert shown.startswith("   0.0  $ microgpt finetune\n  12.3  word word")
    assert shown.count("word") == 40
    assert max(map(len, shown.split("\n"))) <= 8 + session.WIDTH
    assert shown.endswith("\n  13.0")


def test_filling_in_twice_changes_nothing() -> None:
    page = f"# Title\n\n{session.BEGIN}\nold\n{session.END}\n\nafter\n"
    once = session.filled(page, RECORDED)
    assert session.filled(once, RECORDED) == once
    assert once.startswith("# Title")
    assert once.endswith("after\n")
    assert "old" not in once
    assert "1 of 2 are right" in once
    with pytest.raises(ValueError, match="must have the lines"):
        session.filled("# Title\n", RECORDED)


def test_the_page_holds_the_recording() -> None:
    page = session.PAGE.read_text(encoding="utf-8")
    assert session.filled(page, json.loads(session.RECORDED.read_text(encoding="utf-8"))) == page


def test_the_recording_is_a_chat_with_a_tuned_model_in_under_five_minutes() -> None:
    recorded = json.loads(session.RECORDED.read_text(encoding="utf-8"))
    texts = [line["text"] for line in recorded["lines"]]
    assert texts[0] == "$ microgpt finetune"
    assert "$ microgpt chat" in texts
    seconds = [line["seconds"] for line in recorded["lines"]]
    assert seconds == sorted(seconds)
    assert seconds[-1] < 300
    for each in recorded["graded"]:
        known = {q.question: q for q in stories.questions_about(each["story"] + "\n")}
        assert stories.grade(known[each["question"]], each["answer"]) == each["right"]
        assert "> " + each["question"] in texts
        assert each["answer"] in texts
        assert each["story"] in texts
    shown = re.sub(r"^ *[0-9.]*(  |$)", "", session.console(recorded["lines"]), flags=re.MULTILINE)
    assert "".join(shown.split()) == "".join("".join(text.split()) for text in texts)
