"""Each rule can fail: a sound notebook passes all, and a fault in it is found by the rule for such faults."""

import nbformat
import pytest

from book.tools import chapter_rules as rules
from book.tools.notebook_form import normalise
from book.tools.skeleton import SECTIONS, setup_cells

PICTURE = {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure size 528x352 with 1 Axes>"}
ALT = "Two curves that fall together and part after the third step of training."


def code(source, outputs=(), **metadata):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata=metadata)


def text(source):
    return nbformat.v4.new_markdown_cell(source)


def stream(words, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=words)


def picture():
    return nbformat.v4.new_output("display_data", data=PICTURE)


def question(number, words="Because."):
    return f"**{number}.** Why?\n\n<details><summary>Answer</summary>\n\n{words}\n\n</details>"


CITED = "See [a paper](https://arxiv.org/abs/1)."
ANSWERS = "assert 1 + 1 == 2  # 1\nassert 2 + 1 == 3  # 2, the sum\nassert True  # question 3"


def understanding():
    """The section in which a reader tests what was understood: three answers computed, one with a source."""
    questions = "\n\n".join([*map(question, (1, 2, 3)), question(4, CITED)])
    return [
        text(f"{rules.UNDERSTANDING}\n\n{questions}"),
        nbformat.v4.new_code_cell(ANSWERS, id="answers", metadata={"tags": ["hide-cell"]}),
    ]


def sound():
    """A notebook without fault."""
    cells = [text("# A chapter\n\n" + "word " * 2200)]
    for section in SECTIONS:
        cells.append(
            text(section + "\n\nSee [notation](../book/notation.md) and [a paper](https://arxiv.org/abs/1).")
        )
        if section == rules.UNDERSTANDING:
            cells[-1:] = understanding()
        if section == SECTIONS[1]:
            cells += [text("## Setup"), *setup_cells()]
    for number in range(1, 8):
        cells.append(code(f"draw({number})", [picture()], mystnb={"image": {"alt": ALT}}))
        cells.append(text(f"**Figure {number}.** What it shows."))
    cells += [
        code("print(train())", [stream("1.83\n")], tags=["nbval-ignore-output"]),
        code("assert loss < 2"),
    ]
    cells += [code(f"print({n})", [stream(f"{n}\n")]) for n in range(60 - len(cells))]
    for number, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
    for number, cell in enumerate(cells[-15:]):
        tagged(cell, "slide-continued" if number % 3 else "slide")
    return normalise(nbformat.v4.new_notebook(cells=cells))


def last_code(notebook):
    return rules.code_cells(notebook)[-1]


def first_figure(notebook):
    return next(cell for cell in notebook.cells if rules.images(cell))


def tagged(cell, tag="jax"):
    cell.metadata.update(tags=[tag])
    return cell


def named(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


def reword(notebook, old, new):
    """Other words in the section of questions."""
    cell = next(c for c in notebook.cells if c.source.startswith(rules.UNDERSTANDING))
    assert old in cell.source
    cell.source = cell.source.replace(old, new)


def change(cell, **fields):
    cell.update(fields)


FAULTS = {
    "not run": ("was_run_from_top_to_bottom", lambda nb: change(last_code(nb), execution_count=None)),
    "run out of order": ("was_run_from_top_to_bottom", lambda nb: change(last_code(nb), execution_count=3)),
    "an error": (
        "outputs_hold_on_any_machine",
        lambda nb: last_code(nb).outputs.append(
            nbformat.v4.new_output("error", ename="KeyError", evalue="x", traceback=[])
        ),
    ),
    "a path": (
        "outputs_hold_on_any_machine",
        lambda nb: last_code(nb).outputs.append(stream("in /home/me/x.py\n")),
    ),
    "stderr": (
        "outputs_hold_on_any_machine",
        lambda nb: last_code(nb).outputs.append(stream("oh\n", "stderr")),
    ),
    "foreign metadata": ("is_in_normal_form", lambda nb: nb.metadata.update(colab={"provenance": []})),
    "a random cell name": ("is_in_normal_form", lambda nb: change(last_code(nb), id="0badf00d")),
    "too few words": ("has_the_right_size", lambda nb: change(nb.cells[0], source="# A chapter\n\nshort")),
    "too many words": (
        "has_the_right_size",
        lambda nb: change(nb.cells[0], source="# A chapter\n" + "word " * 3000),
    ),
    "too many cells": ("has_the_right_size", lambda nb: nb.cells.extend(text("more") for _ in range(40))),
    "a long cell": ("has_the_right_size", lambda nb: change(last_code(nb), source="x = 1\n" * 31)),
    "long cells": (
        "has_the_right_size",
        lambda nb: [change(cell, source="x = 1\n" * 9) for cell in rules.code_cells(nb)],
    ),
    "a heavy notebook": (
        "has_the_right_size",
        lambda nb: first_figure(nb).outputs[0].data.update({"image/png": "A" * 1_600_000}),
    ),
    "no alt text": ("figures_are_described", lambda nb: change(first_figure(nb), metadata={})),
    "a file name as alt text": (
        "figures_are_described",
        lambda nb: change(first_figure(nb), metadata={"mystnb": {"image": {"alt": "a" * 40 + ".png"}}}),
    ),
    "two pictures": ("figures_are_described", lambda nb: first_figure(nb).outputs.append(picture())),
    "a caption missing": (
        "figures_have_numbered_captions",
        lambda nb: change(next(c for c in nb.cells if "**Figure 3.**" in c.source), source="What it shows."),
    ),
    "a directive": ("prose_is_plain_markdown", lambda nb: change(nb.cells[1], source="```{note}\nx\n```")),
    "a colon fence": ("prose_is_plain_markdown", lambda nb: change(nb.cells[1], source=":::{tip}\nx\n:::")),
    "a role": ("prose_is_plain_markdown", lambda nb: change(nb.cells[1], source="see {cite}`shannon1948`")),
    "a label": ("prose_is_plain_markdown", lambda nb: change(nb.cells[1], source="$$x \\tag{1}$$")),
    "a semicolon": ("no_semicolon_hides_output", lambda nb: change(last_code(nb), source="plt.plot(x);")),
    "no assert after what varies": (
        "what_varies_is_checked",
        lambda nb: [change(c, source="pass") for c in rules.code_cells(nb) if c.source.startswith("assert")],
    ),
    "a cell nbval skips": (
        "what_varies_is_checked",
        lambda nb: last_code(nb).metadata.update(tags=["nbval-skip"]),
    ),
    "another repository": (
        "setup_is_the_standard_one",
        lambda nb: change(
            rules.code_cells(nb)[0],
            source=rules.code_cells(nb)[0].source.replace("github.com/", "github.com/x"),
        ),
    ),
    "no style": (
        "setup_is_the_standard_one",
        lambda nb: change(rules.code_cells(nb)[1], source="import numpy"),
    ),
    "untagged install": (
        "setup_is_the_standard_one",
        lambda nb: change(rules.code_cells(nb)[0], metadata={}),
    ),
    "a section missing": (
        "sections_stand_in_order",
        lambda nb: nb.cells.remove(next(c for c in nb.cells if c.source.startswith("## Summary"))),
    ),
    "a level skipped": ("sections_stand_in_order", lambda nb: nb.cells.append(text("#### deep"))),
    "two titles": ("sections_stand_in_order", lambda nb: nb.cells.append(text("# another"))),
    "a framework's section without its tag": (
        "frameworks_can_be_skipped",
        lambda nb: nb.cells.append(text("## The same in PyTorch")),
    ),
    "a framework's tag outside its section": (
        "frameworks_can_be_skipped",
        lambda nb: last_code(nb).metadata.update(tags=["jax"]),
    ),
    "a cell that needs a section which may be skipped": (
        "frameworks_can_be_skipped",
        lambda nb: nb.cells.extend(
            [tagged(text("## The same in JAX")), tagged(code("y = 1")), text("## More"), code("print(y)")]
        ),
    ),
    "too few questions": ("understanding_is_checked", lambda nb: reword(nb, "**4.**", "**Four.**")),
    "no questions": (
        "understanding_is_checked",
        lambda nb: nb.cells.remove(next(c for c in nb.cells if c.source.startswith(rules.UNDERSTANDING))),
    ),
    "a question without answer": (
        "understanding_is_checked",
        lambda nb: reword(nb, question(2), "**2.** Why?"),
    ),
    "an answer that is neither computed nor cited": (
        "understanding_is_checked",
        lambda nb: reword(nb, CITED, "So."),
    ),
    "an answer that is computed no more": (
        "understanding_is_checked",
        lambda nb: change(named(nb, "answers"), source="assert 1 + 1 == 2  # 1\nassert True  # 3"),
    ),
    "answers in view": ("understanding_is_checked", lambda nb: change(named(nb, "answers"), metadata={})),
    "answers that print": (
        "understanding_is_checked",
        lambda nb: change(named(nb, "answers"), source=ANSWERS + "\nprint(1)"),
    ),
    "other code among the questions": (
        "understanding_is_checked",
        lambda nb: change(named(nb, "answers"), id="other"),
    ),
    "no slides": ("slides_are_marked", lambda nb: [change(cell, metadata={}) for cell in nb.cells[-5:]]),
    "too many slides": ("slides_are_marked", lambda nb: [tagged(cell, "slide") for cell in nb.cells[:30]]),
    "a slide twice": (
        "slides_are_marked",
        lambda nb: nb.cells[-1].metadata.tags.extend(["slide", "slide-continued"]),
    ),
    "a slide that never began": ("slides_are_marked", lambda nb: tagged(nb.cells[0], "slide-continued")),
    "two pictures on a slide": (
        "slides_are_marked",
        lambda nb: [change(cell, outputs=[picture()]) for cell in rules.code_cells(nb)[-2:]],
    ),
    "a dead link": ("links_resolve", lambda nb: nb.cells.append(text("[x](99_nowhere.ipynb)"))),
}


def test_a_sound_notebook_passes():
    assert {rule.__name__: rule(sound()) for rule in rules.RULES} == {
        rule.__name__: [] for rule in rules.RULES
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found(fault):
    name, spoil = FAULTS[fault]
    notebook = sound()
    spoil(notebook)
    assert getattr(rules, name)(notebook) != []


def test_every_rule_is_tried():
    assert {name for name, _ in FAULTS.values()} == {rule.__name__ for rule in rules.RULES}


def test_words_are_counted_without_code_and_mathematics():
    cell = text(
        "One two, don't: `code` and $x + y$.\n\n```python\nnot counted\n```\n\n[four](https://example.org/a/b)"
    )
    assert rules.count_words(nbformat.v4.new_notebook(cells=[cell])) == 5


def test_frameworks_may_use_their_own_names_and_what_came_before():
    notebook = nbformat.v4.new_notebook(
        cells=[
            code("x = 1"),
            tagged(text("## The same in PyTorch"), "pytorch"),
            tagged(code("x = 2\ny = x"), "pytorch"),
            tagged(text("### Inside it"), "pytorch"),
            tagged(code("print(x, y)"), "pytorch"),
            tagged(text("## The same in JAX")),
            tagged(code("y = 3\nprint(x, y)")),
            text("## On"),
            code("y = 4\nprint(x, y)"),
        ]
    )
    assert rules.frameworks_can_be_skipped(notebook) == []
    notebook.cells[6].source = "print(y)"
    assert "only a section on pytorch" in rules.frameworks_can_be_skipped(notebook)[0]
