"""The command `microgpt-course`: assignment, grade, slides. Its flags are the dataclasses' fields."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Union

import tyro
from tyro.conf import Positional

from microgpt_ref.course.masters import course_root, master_of, masters, read_notebook

if TYPE_CHECKING:
    from microgpt_ref.course.grade import Grade
    from microgpt_ref.course.submissions import Assignment

LIBRARIES = ("nbgrader", "nbconvert", "nbformat", "psutil")


@dataclass(frozen=True)
class MakeAssignment:
    """Make a course folder for nbgrader from chapters' exercises."""

    chapters: Positional[tuple[str, ...]]
    """The chapters, such as 04 or 04_attention."""
    out: Path
    """The new folder."""
    without_solutions: bool = False
    """Leave the masters out; the gradebook still knows the hidden tests."""
    variant: int | None = None
    """Change the exercises' settings, chosen by this seed."""
    course: Path | None = None
    """A clone of the course; by default the one that this package was installed from."""


@dataclass(frozen=True)
class GradeSubmissions:
    """Grade a folder of notebooks, each isolated from the others, into one CSV.

    Understood: alice.ipynb, alice/04_attention.ipynb, alice/04_attention/04_attention.ipynb (nbgrader's own).
    """

    submissions: Positional[Path]
    """The folder with one notebook or one folder a student."""
    csv: Path
    """Where the grades go; the same command goes on where it was interrupted."""
    assignment: Path | None = None
    """The folder made by `microgpt-course assignment`; by default the chapter's exercises as they are."""
    chapters: tuple[str, ...] = ()
    """Without --assignment: the chapters, where names and cells of the notebooks do not tell."""
    roster: Path | None = None
    """A text file with one student's name a line; who handed in nothing gets a zero."""
    seconds: float = field(default=240.0)
    """Wall time for one notebook; a single cell gets a quarter of it."""
    memory: float = 4.0
    """Resident memory for one notebook, in GiB."""
    course: Path | None = None
    """A clone of the course; by default the one that this package was installed from."""


@dataclass(frozen=True)
class MakeSlides:
    """Make reveal.js slides of a chapter that need no network, from its cells tagged for slides."""

    chapter: Positional[str]
    """The chapter, such as 04 or 04_attention."""
    out: Path | None = None
    """The folder, or the .html file, to write; by default slides/04_attention."""
    course: Path | None = None
    """A clone of the course; by default the one that this package was installed from."""


Command = MakeAssignment | GradeSubmissions | MakeSlides


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 for bad input, 130 after Ctrl-C."""
    command = parse(list(sys.argv[1:] if arguments is None else arguments))
    try:
        missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
        if missing:
            raise ModuleNotFoundError(
                f"{' and '.join(missing)} not installed; pip install 'microgpt-ref[lecturer]'"
            )
        match command:
            case MakeAssignment():
                return make_assignment(command)
            case GradeSubmissions():
                return grade_submissions(command)
        return make_slides(command)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"microgpt-course: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("microgpt-course: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def parse(arguments: Sequence[str]) -> Command:
    """The command that the words of the command line name."""
    commands = Union[  # noqa: UP007 (tyro reads the annotations)
        Annotated[MakeAssignment, tyro.conf.subcommand("assignment")],
        Annotated[GradeSubmissions, tyro.conf.subcommand("grade")],
        Annotated[MakeSlides, tyro.conf.subcommand("slides")],
    ]
    return tyro.cli(
        commands, prog="microgpt-course", description="The lecturer's kit of the course.", args=arguments
    )


def make_assignment(command: MakeAssignment) -> int:
    """`microgpt-course assignment 04 --out homework`."""
    from microgpt_ref.course.assignment import create

    names = create(
        course_root(command.course),
        command.chapters,
        command.out,
        solutions=not command.without_solutions,
        variant=command.variant,
    )
    for name in names:
        print(f"Hand out:  {command.out / 'release' / name / f'{name}.ipynb'}")
    print(f"What next: {command.out / 'README.md'}")
    return 0


def make_slides(command: MakeSlides) -> int:
    """`microgpt-course slides 04`."""
    from microgpt_ref.course.slides import chapter_of, write_slides

    chapter = chapter_of(course_root(command.course), command.chapter)
    page = write_slides(chapter, command.out or Path("slides") / chapter.stem)
    print(f"Open {page}, or: python -m http.server --directory {page.parent}")
    return 0


def grade_submissions(command: GradeSubmissions) -> int:
    """`microgpt-course grade submitted --csv grades.csv`."""
    from microgpt_ref.course.grade import grade, submissions_in
    from microgpt_ref.course.isolated import GIB, Limits, namespaces
    from microgpt_ref.course.ledger import Ledger

    if not command.seconds > 0 or not command.memory > 0:
        raise ValueError(f"seconds={command.seconds:g} and memory={command.memory:g} must be positive")
    limits = Limits(seconds=command.seconds, memory=int(command.memory * GIB))
    roster = [] if command.roster is None else names_in(command.roster)
    if not namespaces():
        print(
            "microgpt-course: this system gives no user namespaces: notebooks run with your own rights and "
            "network; grade in a container, or with students you trust",
            file=sys.stderr,
        )
    with _heard() as stop_if_asked, _assignments(command) as assignments:
        by_name = {assignment.name: assignment for assignment in assignments}
        columns = [exercise.name for assignment in assignments for exercise in assignment.exercises]
        ledger = Ledger(command.csv, columns)
        submissions = submissions_in(command.submissions, assignments, roster)
        width = max(len(submission.student) for submission in submissions)
        again, bounds = 0, (limits.seconds, float(limits.memory))
        for submission in submissions:
            assignment = by_name[submission.assignment]
            digest = f"{assignment.digest} {submission.digest}"
            row = ledger.recall(submission.student, assignment.name, digest, bounds)
            again += row is not None
            if row is None:
                row = grade(submission, assignment, limits)
                if roster and submission.student not in roster:
                    row.reasons.insert(0, "not on the roster")
                ledger.add(row, digest, bounds)
            print(line_of(row, width), flush=True)
            stop_if_asked()
        ledger.write()
    kept = f", {again} as before" if again else ""
    print(f"{len(submissions)} graded{kept}: {command.csv}")
    return 0


@contextlib.contextmanager
def _heard() -> Iterator[Callable[[], None]]:
    """No Ctrl-C is lost: Python drops one that meets a destructor or a fork; the call raises it again."""
    pressed = list[bool]()

    def press(*_: object) -> None:
        pressed.append(True)
        raise KeyboardInterrupt

    def stop_if_asked() -> None:
        if pressed:
            raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield stop_if_asked  # somebody else hears it, or it is to be ignored
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def _assignments(command: GradeSubmissions) -> Iterator[list[Assignment]]:
    """Those of the course folder, or of a temporary one made from the masters."""
    from microgpt_ref.course.assignment import create
    from microgpt_ref.course.grade import assignments_in

    if command.assignment is not None:
        with assignments_in(command.assignment) as assignments:
            yield assignments
        return
    root = course_root(command.course)
    chapters = command.chapters or recognised(command.submissions, root)
    with tempfile.TemporaryDirectory() as name:
        create(root, chapters, Path(name) / "course")
        with assignments_in(Path(name) / "course") as assignments:
            yield assignments


def recognised(folder: Path, root: Path) -> list[str]:
    """The chapters whose names or graded cells are seen among the submissions.

    Raises:
        ValueError: none is.
    """
    from microgpt_ref.course.submissions import graded_ids, handed_in, problem_of

    paths = [path for paths in handed_in(folder).values() for path in paths]
    words = {word for path in paths for word in (path.stem, path.parent.name)}
    found = [path.stem for path in masters(root) if path.stem in words]
    if not found:
        cells = [graded_ids(read_notebook(path)) for path in paths if not problem_of(path)]
        for path in masters(root):
            wanted = graded_ids(read_notebook(master_of(root, path.stem)))
            if any(len(wanted & seen) * 2 > len(wanted) for seen in cells):
                found.append(path.stem)
    if not found:
        raise ValueError(
            f"no chapter is recognised in {folder}; name it with --chapters 04 or --assignment DIR"
        )
    return found


def names_in(roster: Path) -> list[str]:
    """The names in a roster, one a line; `#` begins a comment."""
    lines = (line.split("#")[0].strip() for line in roster.read_text(encoding="utf-8-sig").splitlines())
    return [line for line in lines if line]


def line_of(row: Grade, width: int) -> str:
    """One row for the terminal: student, assignment, points, and the first reason."""
    from microgpt_ref.course.ledger import number, plain

    by_hand = f" (+{number(row.outstanding)} by hand)" if row.outstanding else ""
    points = f"{number(row.total)}/{number(row.maximum)}{by_hand}"
    reason = plain(row.reasons[0])[:70] if row.reasons else ""
    return f"{plain(row.student):{width}}  {row.assignment}  {points:20} {reason}".rstrip()


if __name__ == "__main__":
    raise SystemExit(main())
