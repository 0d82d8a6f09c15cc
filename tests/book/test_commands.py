"""The commands that README promises: listed, honest about failure, clear about what is missing."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from book.tools import checks
from book.tools.repository import ROOT
from microgpt_ref import cli
from microgpt_ref.course import cli as course

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def make(*arguments, folder=ROOT, **environment):
    command = ["make", "--no-print-directory", *arguments]
    settings = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")} | environment
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)


@pytest.fixture
def bare(tmp_path):
    """A checkout without an environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_make_alone_lists_every_command():
    listed = set(re.findall(r"^  (\w+) ", make().stdout, re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split())
    assert listed == phony - {"environment"}


def test_every_command_of_the_documents_exists():
    targets = set(re.findall(r"^(\w+):", MAKEFILE, re.MULTILINE))
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "book/how_to_use.md",
        "book/lecturers.md",
        "book/results.md",
    ):
        text = (ROOT / name).read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^|`)make (\w+)", text, re.MULTILINE))
        assert named
        assert named <= targets, name


def microgpt_lines():
    for name in ("README.md", "book/how_to_use.md", "index.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for line in re.findall(
            r"(?:^|`)(microgpt (?:train|sample|eval|finetune|chat|export)\b[^`\n]*)", text, re.MULTILINE
        ):
            yield line.replace("--help", "")


@pytest.mark.parametrize("line", sorted(set(microgpt_lines())))
def test_the_command_line_understands_what_the_documents_write(line):
    cli.parse(shlex.split(line, comments=True)[1:])


def course_lines():
    for name in ("README.md", "CONTRIBUTING.md", "book/how_to_use.md", "book/lecturers.md", "index.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for line in re.findall(r"(?:^|`)(microgpt-course\s+[a-z]+\s[^`#]+?)(?:`|  #|$)", text, re.MULTILINE):
            yield " ".join(line.split())


@pytest.mark.parametrize("line", sorted(set(course_lines())))
def test_the_lecturers_command_understands_what_the_documents_write(line):
    course.parse(shlex.split(line)[1:])


def test_all_commands_of_the_lecturer_are_written_somewhere():
    assert {line.split()[1] for line in course_lines()} == {"assignment", "grade", "slides"}


@pytest.mark.parametrize("python", ["false", "no-such-python"])
def test_an_unfit_python_gives_one_clear_error(bare, python):
    result = make("book", f"PYTHON={python}", folder=bare)
    assert result.returncode != 0
    assert "Needs Python 3.11 or later" in result.stderr
    assert f"'{python}'" in result.stderr
    assert "make PYTHON=python3.12 book" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (bare / ".venv").exists()


@pytest.mark.slow
def test_an_interrupted_installation_is_not_taken_for_a_finished_one(bare):
    """The environment counts as installed only after pip has ended well."""
    (bare / "constraints.txt").write_text("no-such-package-here==0 oops\n", encoding="utf-8")
    (bare / "pyproject.toml").write_text("[project]\nname='x'\nversion='0'\n", encoding="utf-8")
    result = make("environment", f"PYTHON={sys.executable}", folder=bare)
    assert result.returncode != 0
    assert not list((bare / ".venv").glob("installed-*"))


def test_serving_without_a_book_says_what_to_do(bare):
    result = make("serve", folder=bare)
    assert result.returncode != 0
    assert "make book" in result.stderr


def test_checks_go_on_after_a_failure_and_end_in_failure(capfd):
    good, bad = [sys.executable, "-c", "print('ran')"], [sys.executable, "-c", "raise SystemExit(3)"]
    assert checks.run({"first": bad, "second": good}) == 1
    shown = capfd.readouterr().out
    assert "ran" in shown
    assert re.search(r"first +FAILED \(3\)", shown)
    assert re.search(r"second +passed", shown)
    assert "1 of 2 failed" in shown
    assert checks.run({"second": good}) == 0
    assert "everything passed" in capfd.readouterr().out


def test_the_whole_run_contains_what_the_readme_names():
    commands = {name: " ".join(command) for name, command in checks.CHECKS["all"].items()}
    assert "--nbval chapters" in commands["notebooks"]
    assert commands["tests"].endswith("tests --ignore=tests/course")
    assert commands["homework"].endswith("tests/course")
    assert "--warningiserror" in commands["book"]
    assert {"lint", "format", "types"} <= set(commands)


def test_continuous_integration_calls_make_test_with_the_data_beside_it(tmp_path):
    checkout = tmp_path / "a checkout"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci" / "run")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "make").write_text('#!/bin/sh\necho "make $* data=$MICROGPT_DATA in=$PWD"\n', encoding="utf-8")
    (tools / "make").chmod(0o755)
    settings = {"PATH": f"{tools}:{os.environ['PATH']}"}

    def run():
        command = [str(checkout / ".ci" / "run")]
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=True).stdout

    assert run() == f"make test data= in={checkout}\n"
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert run() == f"make test data={tmp_path}/shared/data in={checkout}\n"
