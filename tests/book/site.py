"""The built book, served on this machine, and a browser that can reach nothing else."""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from book.tools.checks import BOOK
from book.tools.repository import ROOT

HTML = ROOT / "_build" / "html"
SOURCES = ("_config.yml", "_toc.yml", "index.md", "book", "chapters", "exercises")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def build() -> Path:
    """The folder of the built book; built now if it is missing or older than its sources."""
    built = max((page.stat().st_mtime for page in HTML.rglob("*.html")), default=0)
    if built < _newest_source():
        result = subprocess.run(BOOK, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    return HTML


def _newest_source() -> float:
    files = [p for name in SOURCES for p in [ROOT / name, *(ROOT / name).rglob("*")]]
    endings = {".md", ".ipynb", ".yml", ".css", ".svg", ".bib"}
    return max(path.stat().st_mtime for path in files if path.suffix in endings)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which the folder can be read while the block runs."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def find_browser() -> str | None:
    """A Chromium of this machine, or the one that Playwright brought."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return str(own) if own.exists() else None


if __name__ == "__main__":
    print(build(), file=sys.stderr)
