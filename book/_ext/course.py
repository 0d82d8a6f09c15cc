"""What this book adds to Sphinx: results and exercises are read when it is built, and no page names a CDN."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from book.tools import exercise_page, lecturers, results

PLACE = "<!-- measured results -->"
PAGE = "book/results"


def put_tables(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the tables of benchmarks/results, or of the exercises, where a page asks for them."""
    if docname == PAGE:
        source[0] = source[0].replace(PLACE, results.page(results.load()))
    if docname == lecturers.PAGE:
        source[0] = lecturers.page(source[0])


def put_exercises(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the exercises of a chapter where it lists them; a changed master, or tool, makes the page anew."""
    if master := exercise_page.master_of(docname):
        source[0] = exercise_page.with_exercises(source[0], master)
        for path in (str(master), exercise_page.__file__):
            app.env.note_dependency(path)


def read_again(app: Sphinx, *_: object) -> list[str]:
    """Results may be new or gone although a page is unchanged; it is short, so read it on every build."""
    return [page for page in (PAGE, lecturers.PAGE) if page in app.env.found_docs]


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Leave out Thebe, which Jupyter Book always adds: it names a CDN, logs an error and is not used here."""
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, []) if "thebe" not in _words_of(file)]


def _words_of(file: Any) -> str:
    return f"{getattr(file, 'filename', file)} {getattr(file, 'attributes', '')}".lower()


def setup(app: Sphinx) -> dict[str, bool | str]:
    app.connect("source-read", put_tables)
    app.connect("source-read", put_exercises)
    app.connect("env-get-outdated", read_again)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
