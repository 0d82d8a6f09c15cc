"""Slides of a chapter, for a lecture room without a network.

The cells tagged `slide` start one, those tagged `slide-continued` stand below on the same one, the others are
left out. nbconvert makes the page; reveal.js and MathJax are copied from pip packages that bring them along
(sphinx-revealjs, sphinx-mathjax-offline). The folder opens from the disk as well as from a server.
"""

from __future__ import annotations

import copy
import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from microgpt_ref._files import atomic_write
from microgpt_ref.course.masters import read_notebook

if TYPE_CHECKING:
    from nbformat import NotebookNode

MARK = '<meta name="generator" content="microgpt-course">'
REVEAL = ("reveal.js", "reset.css", "reveal.css", "theme/white.css", "theme/fonts/source-sans-pro")
# SVG: its letters are drawn, so no fonts need be found.
MATHJAX = "tex-svg-full.js"

# Mathematics first, while every slide is visible; then reveal.js. What is too tall is made smaller.
TEMPLATE = """
{%- extends 'index.html.j2' -%}
{%- block html_head_js -%}MARK{%- endblock -%}
{%- block html_head_js_mathjax -%}
<script>
MathJax = {
  tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], tags: "ams", processEscapes: true},
  options: {enableMenu: false}
};
</script>
<script src="{{ resources.reveal.url_prefix }}/MATHJAX"></script>
{%- endblock -%}
{%- block html_head_css -%}
<style>
.reveal .slides section {text-align: left}
.reveal .slides section img, .reveal .slides section svg {max-height: 520px; max-width: 100%}
.reveal h1, .reveal h2, .reveal h3 {text-transform: none}
.reveal h1 {font-size: 1.8em} .reveal h2 {font-size: 1.5em} .reveal h3 {font-size: 1.2em}
.reveal .jp-RenderedHTMLCommon {font-size: 28px; color: inherit}
.reveal pre {box-shadow: none; width: 100%; line-height: 1.3}
.reveal mjx-container {font-size: 1em}
:root {--jp-code-font-size: 20px; --jp-content-font-size1: 26px}
</style>
{%- endblock -%}
{%- block footer_js -%}
<script src="{{ resources.reveal.url_prefix }}/dist/reveal.js"></script>
<script>
const size = {width: 1280, height: 760};
function fit() {
  const slide = Reveal.getCurrentSlide();
  if (!slide) return;
  slide.style.zoom = 1;
  if (slide.scrollHeight > size.height) slide.style.zoom = size.height / slide.scrollHeight;
  Reveal.layout();
}
MathJax.startup.promise.then(async () => {
  await Reveal.initialize({...size, hash: true, slideNumber: "c/t", transition: "none", margin: 0.03});
  Reveal.on("slidechanged", fit);
  fit();
  document.body.dataset.ready = "true";
});
</script>
{%- endblock -%}
"""


def chapter_of(root: Path, name: str) -> Path:
    """A chapter's notebook, named by its number or its stem.

    Raises:
        ValueError: there is none.
    """
    known = sorted((root / "chapters").glob("[0-9]*.ipynb"))
    for path in known:
        if name == path.stem or (name.isdecimal() and int(name) == int(path.stem.split("_")[0])):
            return path
    raise ValueError(
        f"there is no chapter {name!r}; there are {', '.join(path.stem for path in known) or 'none'}"
    )


def slides_of(notebook: NotebookNode) -> NotebookNode:
    """The tagged cells alone, marked as nbconvert wants it. The given notebook is left as it is.

    Raises:
        ValueError: no cell is tagged.
    """
    slides = copy.deepcopy(notebook)
    slides.metadata.pop("widgets", None)
    kept: list[NotebookNode] = []
    for cell in slides.cells:
        tags = cell.metadata.get("tags", [])
        if "slide" in tags or "slide-continued" in tags:
            starts = "slide" in tags or not kept
            cell.metadata["slideshow"] = {"slide_type": "slide" if starts else "-"}
            kept.append(cell)
    if not kept:
        raise ValueError("no cell of this chapter is tagged `slide`")
    slides.cells = kept
    return slides


def write_slides(chapter: Path, out: Path) -> Path:
    """Write the slides of `chapter` to the folder `out`, or the file if it ends in .html; returns the page.

    What the page needs stands in a folder beside it, named like it with `_files`.

    Raises:
        FileExistsError: a page that is not ours stands there.
        ValueError: the chapter has no slides.
        ModuleNotFoundError: a package that brings reveal.js or MathJax is missing.
    """
    from nbconvert.exporters import SlidesExporter
    from traitlets.config import Config

    page = out if out.suffix == ".html" else out / "index.html"
    if page.exists() and MARK not in page.read_text(encoding="utf-8", errors="replace"):
        raise FileExistsError(f"{page} was not written by this command; name another place with --out")
    notebook = slides_of(read_notebook(chapter))
    notebook.metadata["title"] = title_of(notebook) or chapter.stem
    files = page.with_name(page.stem + "_files")
    # Whoever looks at a slide cannot unfold the code that a chapter folds away.
    folded = Config(TagRemovePreprocessor=Config(enabled=True, remove_input_tags={"hide-input", "hide-cell"}))
    exporter = SlidesExporter(
        config=folded,
        raw_template=TEMPLATE.replace("MARK", MARK).replace("MATHJAX", MATHJAX),
        reveal_url_prefix=files.name,
        reveal_theme="white",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    text, _ = exporter.from_notebook_node(notebook)
    copy_libraries(files)
    with atomic_write(page) as file:
        file.write(text.encode())
    return page


def title_of(notebook: NotebookNode) -> str:
    """The first heading."""
    lines = (
        line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()
    )
    return next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), "")


def copy_libraries(files: Path) -> None:
    """reveal.js with one theme and its font, and MathJax in one file; about three megabytes."""
    reveal = _package("sphinx_revealjs", "sphinx-revealjs") / "_static" / "revealjs"
    mathjax = _package("sphinx-mathjax-offline", "sphinx-mathjax-offline") / "static" / "mathjax"
    (files / "dist").mkdir(parents=True, exist_ok=True)
    shutil.copy(reveal / "LICENSE", files / "LICENSE.reveal.js")
    for name in REVEAL:
        source, target = reveal / "dist" / name, files / "dist" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)
    shutil.copy(mathjax / MATHJAX, files / MATHJAX)


def _package(module: str, project: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{project} is not installed; pip install 'microgpt-ref[lecturer]'")
    return Path(spec.origin).parent
