"""Notebooks have one stored form, whichever tool wrote them, and a broken one is never stored."""

import json

import nbformat
import pytest

from book.tools import notebooks
from book.tools.notebook_form import NotebookError, faults, normalise, read, to_text, write
from book.tools.skeleton import create, setup_cells


def new(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def code(source, outputs=(), **fields):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), **fields)


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def test_two_tools_one_form():
    """JupyterLab and Colab write the same work differently; the stored files are equal."""
    lab = new(
        code("x = 1", id="1f9c0a2b-aaaa-4bbb-8ccc-1234567890ab", metadata={"execution": {"start": "10:01"}})
    )
    lab.metadata.update(language_info={"name": "python", "version": "3.13.1"})
    colab = new(code("x = 1\n", id="5d7e9f01", metadata={"id": "Xy_z", "colab": {"base_uri": "https://…"}}))
    colab.metadata.update(colab={"provenance": []}, accelerator="GPU", widgets={"application/x": {}})
    assert to_text(normalise(lab)) == to_text(normalise(colab))


def test_normalising_twice_changes_nothing():
    notebook = new(nbformat.v4.new_markdown_cell("# T"), *setup_cells(), code("1"), code("1"), code("  \n"))
    once = normalise(notebook)
    assert to_text(normalise(once)) == to_text(once)
    assert len(once.cells) == 5  # the empty cell is gone
    assert len({cell.id for cell in once.cells}) == 5
    assert [cell.id for cell in once.cells][1:3] == ["install", "setup"]  # names that a person gave stay


def test_pieces_of_a_stream_are_joined():
    pieces = [stream("a"), stream("b\n"), stream("oh", "stderr"), stream("c")]
    outputs = normalise(new(code("f()", pieces))).cells[0].outputs
    assert [(o.name, o.text) for o in outputs] == [("stdout", "ab\n"), ("stderr", "oh"), ("stdout", "c")]


def test_the_size_of_a_picture_stays_and_other_metadata_go():
    size = {"image/png": {"width": 528, "height": 352}}
    data = {"image/png": "iVBORw0KGgo="}
    output = nbformat.v4.new_output("display_data", data=data, metadata={**size, "needs_background": "light"})
    assert normalise(new(code("plot()", [output]))).cells[0].outputs[0].metadata == size


def test_attachments_are_refused():
    cell = nbformat.v4.new_markdown_cell(
        "![x](attachment:x.png)", attachments={"x.png": {"image/png": "AA=="}}
    )
    with pytest.raises(NotebookError, match="pasted attachment"):
        normalise(new(cell))


def test_a_file_ends_in_one_newline_and_is_json(tmp_path):
    path = tmp_path / "01_x.ipynb"
    write(path, normalise(new(code("print('é')"))))
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "é" in text  # readable in a diff
    assert json.loads(text)["nbformat_minor"] == 5
    assert [p.name for p in tmp_path.iterdir()] == ["01_x.ipynb"]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (stream("saved in /tmp/abc\n"), "path of one machine: /tmp/abc"),
        (stream("UserWarning", "stderr"), "writes to stderr"),
        (
            nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[]),
            "ends in ValueError: no",
        ),
        (
            nbformat.v4.new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {}}),
            "a widget",
        ),
        (nbformat.v4.new_output("execute_result", data={"text/plain": "PosixPath('/home/me')"}), "/home/me"),
    ],
)
def test_faults_are_named(output, says):
    found = faults(new(code("f()", [output], execution_count=1)))
    assert len(found) == 1
    assert says in found[0]


def test_sound_outputs_have_no_faults():
    text = "loss 1.8 / 2.0, see https://example.org/home/x, ratio 3/tmp, a/b\n"
    assert faults(new(code("f()", [stream(text)], execution_count=1))) == []


def test_execute_runs_and_stores(tmp_path):
    path = tmp_path / "01_x.ipynb"
    write(
        path,
        new(
            code("import os\nprint(os.environ['PYTHONHASHSEED'], os.environ['TQDM_DISABLE'])"), code("6 * 7")
        ),
    )
    assert notebooks.execute(path) > 0
    cells = read(path).cells
    assert [cell.execution_count for cell in cells] == [1, 2]
    assert cells[0].outputs[0].text == "0 1\n"
    assert cells[1].outputs[0].data["text/plain"] == "42"
    before = path.read_bytes()
    notebooks.execute(path)
    assert path.read_bytes() == before  # a second run leaves no difference


@pytest.mark.parametrize(
    ("source", "says"), [("1 / 0", "ZeroDivisionError"), ("import os\nprint(os.getcwd())", "machine")]
)
def test_a_broken_notebook_is_not_stored(tmp_path, monkeypatch, capsys, source, says):
    path = tmp_path / "01_x.ipynb"
    write(path, new(code("x = 1"), code(source)))
    before = path.read_bytes()
    monkeypatch.setattr(notebooks, "CHAPTERS", tmp_path)
    assert notebooks.main(["execute", "01"]) == 1
    assert says in capsys.readouterr().err
    assert path.read_bytes() == before


def test_chapters_are_found_by_number_name_and_path(tmp_path, monkeypatch):
    for name in ("01_tokens", "02_bigram", "draft"):
        (tmp_path / f"{name}.ipynb").touch()
    monkeypatch.setattr(notebooks, "CHAPTERS", tmp_path)
    assert [path.stem for path in notebooks.chapters()] == ["01_tokens", "02_bigram"]
    for name in ("2", "02", "02_bigram", "chapters/02_bigram.ipynb"):
        assert [path.stem for path in notebooks.chapters([name])] == ["02_bigram"]
    with pytest.raises(NotebookError, match="no chapter '09'; there are 01_tokens, 02_bigram"):
        notebooks.chapters(["09"])


def test_a_new_chapter_has_the_setup_cells_and_spares_an_old_one(tmp_path):
    path = tmp_path / "chapters" / "03_x.ipynb"
    create(path, "Vectors")
    notebook = read(path)
    assert notebook.cells[0].source.startswith("# Vectors\n")
    assert [cell.id for cell in notebook.cells if cell.cell_type == "code"] == ["install", "setup"]
    with pytest.raises(NotebookError, match="exists"):
        create(path, "Again")
