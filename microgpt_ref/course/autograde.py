"""What grades one submission with nbgrader, in a process of its own that `isolated.py` starts and watches.

It works in a temporary course folder that holds one gradebook without students and one submission, and writes
the scores to an open file whose number it is given.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute
from traitlets.config import Config

from microgpt_ref.course import sandbox
from microgpt_ref.course.errors import LastError
from microgpt_ref.course.execution import AttestedExecute, Collect
from microgpt_ref.course.sandbox import limit


def autograde(course: Path, assignment: str, plan_file: Path, seconds: float) -> dict[str, Any]:
    """Grade `submitted/student/ASSIGNMENT` in `course`: scores by `grade_id`, notes, and a failure."""
    config = Config()
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.student_id = "student"
    config.CourseDirectory.assignment_id = assignment
    config.Execute.timeout = max(5, int(seconds))
    config.Execute.startup_timeout = 120
    config.SandboxedKernelManager.before = [sys.executable, "-I", sandbox.__file__, str(plan_file)]
    # The one folder that both sides see. Unix sockets, for the kernel's network is not ours; elsewhere their
    # names would grow too long.
    config.KernelManager.connection_file = str(plan_file.with_name("kernel.json"))
    config.KernelManager.transport = "ipc" if sys.platform == "linux" else "tcp"
    steps = [AttestedExecute if step is Execute else step for step in Autograde().autograde_preprocessors]
    config.Autograde.autograde_preprocessors = [*steps[:1], Collect, *steps[1:]]
    converter = Autograde(coursedir=CourseDirectory(config=config), config=config)
    converter.log.addHandler(last := LastError())
    failed = ""
    try:
        converter.start()
    except Exception as error:
        failed = last.said or f"{type(error).__name__}: {error}"
    return {"scores": Collect.scores, "notes": Collect.notes, "failed": failed}


def write_scores(number: int, *, plan_file: Path, assignment: str, seconds: float) -> None:
    """Grade in this process, under the plan's limits, and write what came out to the open file `number`."""
    limit(json.loads(plan_file.read_text()))
    result = autograde(Path.cwd() / "course", assignment, plan_file, seconds)
    with os.fdopen(number, "w") as file:
        json.dump(result, file)
