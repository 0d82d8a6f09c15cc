"""What every chapter keeps to, as functions that return the faults they find; `RULES` lists them.

The tests run them on each chapter, and on broken notebooks, to show that each rule can fail.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median

from nbformat import NotebookNode

from book.tools.notebook_form import NOTEBOOK_METADATA, ROOT, faults, normalise, read, to_text
from book.tools.skeleton import INSTALL_TAGS, SECTIONS, SETUP_END, install_source

CELLS, WORDS, FIGURES = (50, 80), (2000, 3000), (6, 10)
LONGEST, MEDIAN = 30, 8  # lines of a code cell
ALT_LENGTH = 40  # characters that an alt text needs to say something
SOON = 3  # an assert follows what varies within so many code cells
LARGEST = 1.5e6  # bytes of a notebook
QUESTIONS, SLIDES = (4, 6), (15, 25)

FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
MATH = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
MYST = re.compile(r"^\s*(?:```+|~~~+|:::+)\s*\{|^:::|\{[a-z][a-z:-]*\}`|^\([\w-]+\)=", re.MULTILINE)
CAPTION = re.compile(r"^\*\*Figure (\d+)\.\*\*", re.MULTILINE)

UNDERSTANDING = "## Check your understanding"
QUESTION = re.compile(r"^\*\*(\d+)\.\*\* +\S", re.MULTILINE)
ANSWER = re.compile(r"<details><summary>Answer</summary>\n\n(.+?)\n\n</details>", re.DOTALL)

HEADING = re.compile(r"^(#+) +(.+?) *$", re.MULTILINE)
FRAMEWORKS = ("pytorch", "jax")
# "## The same in PyTorch", "### In JAX": a section that a reader of another framework may skip
FRAMEWORK_HEADING = re.compile(r"\b[Ii]n (PyTorch|JAX)\b")

Rule = Callable[[NotebookNode], list[str]]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def images(cell: NotebookNode) -> int:
    return sum(
        any(k.startswith("image/") for k in output.get("data", {})) for output in cell.get("outputs", [])
    )


def count_words(notebook: NotebookNode) -> int:
    """Words that a reader reads: no code, no mathematics, no markup, no addresses."""
    text = "\n".join(prose(notebook))
    for markup in (FENCE, MATH, re.compile(r"`[^`]*`"), re.compile(r"<[^>]+>"), re.compile(r"\]\([^)]*\)")):
        text = markup.sub(" ", text)
    return len(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text))


def was_run_from_top_to_bottom(notebook: NotebookNode) -> list[str]:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts are {counts}"]


def outputs_hold_on_any_machine(notebook: NotebookNode) -> list[str]:
    return faults(notebook)


def is_in_normal_form(notebook: NotebookNode) -> list[str]:
    found = (
        []
        if notebook.metadata == NOTEBOOK_METADATA
        else ["the notebook's metadata are not the standard ones"]
    )
    same = to_text(notebook) == to_text(normalise(notebook))
    return found + ([] if same else ["not in normal form; run: python -m book.tools.notebooks normalise"])


def has_the_right_size(notebook: NotebookNode) -> list[str]:
    lines = [len(cell.source.splitlines()) for cell in code_cells(notebook)]
    figures = sum(map(images, notebook.cells))
    found = []
    for what, value, (low, high) in (
        ("cells", len(notebook.cells), CELLS),
        ("words", count_words(notebook), WORDS),
        ("figures", figures, FIGURES),
        ("lines in the longest code cell", max(lines, default=0), (0, LONGEST)),
        ("lines in the median code cell", median(lines or [0]), (0, MEDIAN)),
        ("bytes", len(to_text(notebook).encode()), (0, LARGEST)),
    ):
        if not low <= value <= high:
            found.append(f"{value} {what}; {low} to {high:g} are asked for")
    return found


def figures_are_described(notebook: NotebookNode) -> list[str]:
    found = []
    for cell in notebook.cells:
        if not images(cell):
            continue
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if len(alt.strip()) < ALT_LENGTH or re.search(r"\.(png|svg|jpe?g)\b", alt):
            found.append(f"cell {cell.id}: the alt text {alt!r} does not say what the figure shows")
        if images(cell) > 1:
            found.append(f"cell {cell.id} shows {images(cell)} pictures; one alt text cannot describe them")
    return found


def figures_have_numbered_captions(notebook: NotebookNode) -> list[str]:
    numbers = [int(n) for text in prose(notebook) for n in CAPTION.findall(text)]
    figures = sum(map(images, notebook.cells))
    wanted = list(range(1, figures + 1))
    return [] if numbers == wanted else [f"captions **Figure N.** count {numbers}, pictures {wanted}"]


def prose_is_plain_markdown(notebook: NotebookNode) -> list[str]:
    found = []
    for text in prose(notebook):
        found += [f"MyST shows as raw text on Colab: {m[0].strip()!r}" for m in MYST.finditer(text)]
        found += [
            f"{m[0]} shows as raw text on Colab" for m in re.finditer(r"\\(?:label|tag|eqref|ref)\b", text)
        ]
        found += [
            f"a task list, which screen readers cannot name: {m[0]!r}"
            for m in re.finditer(r"- \[[ x]\]", text)
        ]
    return found


def no_semicolon_hides_output(notebook: NotebookNode) -> list[str]:
    ends = [cell.id for cell in code_cells(notebook) if re.search(r";\s*(#.*)?$", cell.source)]
    return [f"cell {name} ends in ';', which nbval does not know; write _ = …" for name in ends]


def what_varies_is_checked(notebook: NotebookNode) -> list[str]:
    found = []
    cells = code_cells(notebook)
    for index, cell in enumerate(cells):
        if "nbval-skip" in tags(cell) and cell.id != "install":
            found.append(f"cell {cell.id} is never run by nbval; use nbval-ignore-output and an assert")
        if "nbval-ignore-output" in tags(cell):
            following = "\n".join(c.source for c in cells[index + 1 : index + 1 + SOON])
            if not re.search(r"^\s*assert\b", following, re.MULTILINE):
                found.append(f"cell {cell.id} varies, and no assert follows within {SOON} code cells")
    return found


def setup_is_the_standard_one(notebook: NotebookNode) -> list[str]:
    cells = {cell.id: cell for cell in code_cells(notebook)}
    found = [f"there is no cell named {name!r}" for name in ("install", "setup") if name not in cells]
    if found:
        return found
    if [cell.id for cell in code_cells(notebook)][:2] != ["install", "setup"]:
        found.append("the setup cells are not the first two code cells")
    if cells["install"].source != install_source():
        found.append("the cell 'install' differs from the repository's setting; see CONTRIBUTING.md")
    if tags(cells["install"]) != INSTALL_TAGS:
        found.append(f"the cell 'install' has the tags {tags(cells['install'])}, not {INSTALL_TAGS}")
    if not cells["setup"].source.endswith(SETUP_END):
        found.append(f"the cell 'setup' does not end in\n{SETUP_END}")
    return found


def sections_stand_in_order(notebook: NotebookNode) -> list[str]:
    text = FENCE.sub("", "\n\n".join(prose(notebook)))
    headings = HEADING.findall(text)
    levels = [len(marks) for marks, _ in headings]
    found = []
    if levels[:1] != [1] or levels.count(1) != 1:
        found.append("the first heading, and no other, is of level 1")
    jumps = [headings[i + 1][1] for i in range(len(levels) - 1) if levels[i + 1] > levels[i] + 1]
    found += [f"the heading {name!r} skips a level" for name in jumps]
    wanted = [*SECTIONS[:2], "## Setup", *SECTIONS[3:]]
    present = [f"{marks} {name}" for marks, name in headings if f"{marks} {name}" in wanted]
    if present != wanted:
        found.append(f"the fixed sections are {present}, not {wanted}")
    return found


def links_resolve(notebook: NotebookNode) -> list[str]:
    found = []
    for target in (t for text in prose(notebook) for t in LINK.findall(FENCE.sub("", text))):
        path, _, _ = target.partition("#")
        if re.match(r"[a-z]+:", target) or not path:
            continue
        if not (ROOT / "chapters" / path).resolve().is_file():
            found.append(f"the link {target} leads nowhere")
    return found


def frameworks_can_be_skipped(notebook: NotebookNode) -> list[str]:
    """A section whose heading names PyTorch or JAX carries that tag, and no other cell needs its names."""
    found, open_sections = [], dict[str, int]()  # framework → level of the heading that opened its section
    bound: dict[str, set[str]] = {}  # name → the frameworks whose sections made it, and no other cell before
    everywhere = set[str]()
    for cell in notebook.cells:
        for marks, heading in (
            HEADING.findall(FENCE.sub("", cell.source)) if cell.cell_type == "markdown" else ()
        ):
            open_sections = {f: level for f, level in open_sections.items() if level < len(marks)}
            if match := FRAMEWORK_HEADING.search(heading):
                open_sections[match[1].lower()] = len(marks)
        for framework in FRAMEWORKS:
            if (framework in tags(cell)) != (framework in open_sections):
                verb = "lacks" if framework in open_sections else "has"
                found.append(
                    f"cell {cell.id} {verb} the tag {framework!r}; it marks whole {framework} sections"
                )
        if cell.cell_type != "code" or cell.id == "install":
            continue
        tree, own = ast.parse(cell.source), {f for f in FRAMEWORKS if f in tags(cell)}
        made = _names(tree, ast.Store)
        found += [
            f"cell {cell.id} needs {name!r}, which only a section on {', '.join(sorted(bound[name]))} makes"
            for name in sorted((_names(tree, ast.Load) & set(bound)) - everywhere - made)
            if not own or not own <= bound[name]
        ]
        if own:
            for name in made:
                bound.setdefault(name, set()).update(own)
        else:
            everywhere |= made
    return found


def _names(tree: ast.Module, context: type[ast.expr_context]) -> set[str]:
    """Names that are read (ast.Load) or made (ast.Store) anywhere in a cell; imports and functions count."""
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}
    if context is ast.Store:
        names |= {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        aliases = (a for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names)
        names |= {(alias.asname or alias.name).split(".")[0] for alias in aliases}
    return names


def understanding_is_checked(notebook: NotebookNode) -> list[str]:
    """Four to six questions with folded answers, each computed by the cell `answers`, or with a source."""
    text, code = _section(notebook, UNDERSTANDING)
    found, questions = [], list(QUESTION.finditer(text))
    numbers = [int(match[1]) for match in questions]
    if not QUESTIONS[0] <= len(numbers) <= QUESTIONS[1] or numbers != list(range(1, len(numbers) + 1)):
        found.append(f"the questions **1.**, **2.**, … are numbered {numbers}; {QUESTIONS} are asked for")
    computed = ""
    for cell in code:
        if cell.id != "answers" or "hide-cell" not in tags(cell):
            found.append(f"cell {cell.id} stands among the questions; only 'answers', tagged hide-cell, may")
        elif cell.outputs or any(isinstance(node, ast.Expr) for node in ast.parse(cell.source).body):
            found.append("the cell 'answers' prints or calls; it holds assert lines only")
        elif "assert " in cell.source:
            computed = cell.source
    ends = [*(match.start() for match in questions), len(text)][1:]
    for match, end in zip(questions, ends, strict=True):
        answers = ANSWER.findall(text[match.start() : end])
        if len(answers) != 1:
            found.append(f"question {match[1]} has {len(answers)} folded answers, not one")
        elif not LINK.search(answers[0]) and not re.search(rf"#\D{{,12}}\b{match[1]}\b", computed):
            found.append(
                f"question {match[1]}: no comment of the cell 'answers' names it, and it has no source"
            )
    return found


def _section(notebook: NotebookNode, heading: str) -> tuple[str, list[NotebookNode]]:
    """The text and the code cells from a heading of level 2 to the next one."""
    text, code, inside = list[str](), list[NotebookNode](), False
    for cell in notebook.cells:
        if cell.cell_type == "code":
            code += [cell] if inside else []
            continue
        for piece in re.split(r"^(?=## )", cell.source, flags=re.MULTILINE):
            inside = piece.startswith(heading) or (inside and not piece.startswith("## "))
            text += [piece] if inside else []
    return "\n\n".join(text), code


def slides_are_marked(notebook: NotebookNode) -> list[str]:
    """The tags from which `microgpt-course slides` makes a lecture."""
    marked = [(cell, {"slide", "slide-continued"} & set(tags(cell))) for cell in notebook.cells]
    marked = [(cell, found) for cell, found in marked if found]
    wrong = [f"cell {cell.id} has both tags of slides" for cell, found in marked if len(found) > 1]
    if not SLIDES[0] <= len(marked) <= SLIDES[1]:
        wrong.append(f"{len(marked)} cells are marked for slides; {SLIDES[0]} to {SLIDES[1]} are asked for")
    if marked and "slide" not in marked[0][1]:
        wrong.append(f"cell {marked[0][0].id} continues a slide, but none has begun")
    pictures = 0
    for cell, found in marked:
        pictures = images(cell) + (pictures if "slide-continued" in found else 0)
        if pictures > 1:
            wrong.append(f"cell {cell.id} puts a second picture on a slide; begin another one")
    return wrong


RULES: tuple[Rule, ...] = (
    was_run_from_top_to_bottom,
    outputs_hold_on_any_machine,
    is_in_normal_form,
    has_the_right_size,
    figures_are_described,
    figures_have_numbered_captions,
    prose_is_plain_markdown,
    no_semicolon_hides_output,
    what_varies_is_checked,
    setup_is_the_standard_one,
    sections_stand_in_order,
    links_resolve,
    frameworks_can_be_skipped,
    understanding_is_checked,
    slides_are_marked,
)


def broken_rules(path: Path) -> list[str]:
    """All faults of one chapter."""
    notebook = read(path)
    return [fault for rule in RULES for fault in rule(notebook)]
