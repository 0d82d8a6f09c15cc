"""Slides from tagged cells: they open from the disk and from a server, and ask nobody else."""

import functools
import http.server
import threading
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from microgpt_ref.course.cli import main
from microgpt_ref.course.slides import slides_of
from tests.book.site import find_browser
from tests.book.test_site import FLAGS


def chapter() -> NotebookNode:
    first, below = {"tags": ["slide"]}, {"tags": ["slide-continued"]}
    printed = new_output("stream", text="0.5\n")
    long = "\n".join(f"line_{number} = {number}" for number in range(60))
    return new_notebook(
        cells=[
            new_markdown_cell(
                "# Attention\n\nWith $\\sqrt{D}$ and\n\n$$\\sum_s w_{ts} x_s$$", metadata=first
            ),
            new_code_cell("average(x)", outputs=[printed], metadata=below),
            new_markdown_cell("Not a slide."),
            new_code_cell("drawn_by_hidden_code()", metadata={"tags": ["slide", "hide-input"]}),
            new_code_cell(long, metadata=first),
        ]
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("course")
    (root / "chapters").mkdir()
    (root / "exercises" / "solutions").mkdir(parents=True)
    nbformat.write(chapter(), root / "chapters" / "04_attention.ipynb")
    assert main(["slides", "04", "--out", str(root / "slides"), "--course", str(root)]) == 0
    return root / "slides" / "index.html"


def test_untagged_cells_are_left_out() -> None:
    slides = slides_of(chapter())
    assert [cell.metadata.slideshow.slide_type for cell in slides.cells] == ["slide", "-", "slide", "slide"]
    assert "slideshow" not in chapter().cells[0].metadata


def test_a_chapter_without_slides() -> None:
    with pytest.raises(ValueError, match="tagged `slide`"):
        slides_of(new_notebook(cells=[new_markdown_cell("text")]))


def test_the_page(page: Path) -> None:
    text = page.read_text()
    assert "<title>Attention slides</title>" in text
    assert "average" in text
    assert "Not a slide." not in text
    assert "drawn_by_hidden_code" not in text
    assert {path.name for path in (page.parent / "index_files").iterdir()} >= {"dist", "LICENSE.reveal.js"}


def test_somebody_elses_page_is_left_alone(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = page.parents[1]
    (root / "mine.html").write_text("mine")
    assert main(["slides", "04", "--out", str(root / "mine.html"), "--course", str(root)]) == 2
    assert "--out" in capsys.readouterr().err
    assert (root / "mine.html").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "server"])
def test_in_a_browser_without_a_network(page: Path, way: str) -> None:
    """Mathematics is drawn, every slide fits the screen, no request goes elsewhere."""
    browser_path = find_browser()
    if browser_path is None:
        pytest.skip("no Chromium on this machine: install chromium, or run `playwright install chromium`")
    from playwright.sync_api import sync_playwright

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(page.parent))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        sync_playwright() as playwright,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = page.as_uri() if way == "file" else f"http://127.0.0.1:{server.server_port}/"
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        asked: list[str] = []
        errors: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(address)
        tab.wait_for_selector("body[data-ready]", timeout=60_000)
        count = tab.evaluate("Reveal.getTotalSlides()")
        tall = []
        for _ in range(count):
            tall.append(tab.evaluate("Reveal.getCurrentSlide().getBoundingClientRect().height"))
            tab.evaluate("Reveal.next()")
        drawn = tab.evaluate("document.querySelectorAll('mjx-container svg').length")
        failed = tab.evaluate("document.querySelectorAll('mjx-merror').length")
        browser.close()
        server.shutdown()
    ours = address.rsplit("/", 1)[0]
    assert not [url for url in asked if not url.startswith((ours, "data:"))]
    assert (errors, count, drawn, failed) == ([], 3, 2, 0)
    assert max(tall) <= 800
