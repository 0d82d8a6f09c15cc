"""The built book asks nothing of the network, shows its mathematics and pictures, and fits a phone."""

import contextlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from tests.book.site import FLAGS, build, find_browser, served

pytestmark = pytest.mark.slow

# What makes a browser fetch something by itself; a link to follow is not among them.
FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
}
LINKED = {
    "stylesheet",
    "preload",
    "modulepreload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "icon",
    "manifest",
}
PHONE = {"width": 390, "height": 844}
MEASURE = """() => ({
    tooWide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    math: document.querySelectorAll('.math').length,
    rendered: document.querySelectorAll('.math mjx-container').length,
    mathErrors: [...document.querySelectorAll('mjx-merror')].map(e => e.textContent),
    images: [...document.querySelectorAll('img:not(.logo__image)')].map(  // the logo stands beside its name
        i => ({src: i.getAttribute('src'), alt: i.alt, loaded: i.naturalWidth > 0})),
    outside: [...document.querySelectorAll('.bd-article :is(img, pre, table, svg.course-picture)')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80)),
    hidden: [...document.querySelectorAll('.bd-article .eqno')].filter(e => {
        const box = e.getBoundingClientRect();
        const other = e.parentElement.querySelector('mjx-container')?.getBoundingClientRect();
        return other && other.right > box.left + 1 && other.bottom > box.top && other.top < box.bottom;
    }).map(e => e.parentElement.id),
})"""


@dataclass
class Visit:
    """What a browser saw and tried while a page was open."""

    attempts: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    seen: dict = field(default_factory=dict)


class Fetches(HTMLParser):
    """Collects the addresses that a page loads by itself."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        for name in FETCHED.get(tag, ()):
            self.addresses += [attributes[name]] if attributes.get(name) else []
        if tag == "link" and LINKED & set((attributes.get("rel") or "").split()):
            self.addresses.append(attributes.get("href") or "")
        self.addresses += re.findall(r"url\(\s*['\"]?([^)'\"]+)", attributes.get("style") or "")


def is_external(address):
    return bool(re.match(r"\s*(?:https?:)?//", address))


def external_fetches(html):
    parser = Fetches()
    parser.feed(html)
    return [address for address in parser.addresses if is_external(address)]


@pytest.fixture(scope="module")
def site():
    return build()


@pytest.fixture(scope="module")
def pages(site):
    return sorted(p.relative_to(site).as_posix() for p in site.rglob("*.html") if "_static" not in p.parts)


@pytest.fixture(scope="module")
def visits(site, pages):
    """Each page, opened on a phone of 390 px while every request but those to the book itself fails."""
    browser_path = find_browser()
    if browser_path is None:
        pytest.skip("no Chromium on this machine: install chromium, or run `playwright install chromium`")
    from playwright.sync_api import sync_playwright

    found = {}
    with served(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        for page in pages:
            found[page] = visit(browser, address, page)
        browser.close()
    return found


def visit(browser, address, page):
    from playwright.sync_api import TimeoutError as PlaywrightTimeout

    record = Visit()
    context = browser.new_context(viewport=PHONE, color_scheme="dark")
    tab = context.new_page()

    def answer(route):
        if route.request.url.startswith(address):
            return route.continue_()
        record.attempts.append(route.request.url)
        return route.abort()

    context.route("**/*", answer)
    tab.on("console", lambda message: record.errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: record.errors.append(str(error)))
    tab.on("response", lambda r: record.missing.append(r.url) if r.status >= 400 else None)
    tab.goto(f"{address}/{page}", wait_until="load")
    if tab.locator(".math").count():
        with contextlib.suppress(PlaywrightTimeout):  # then MEASURE counts what is missing
            tab.wait_for_selector(".math mjx-container", state="attached", timeout=20_000)
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    tab.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    tab.wait_for_load_state("networkidle")
    record.seen = tab.evaluate(MEASURE)
    context.close()
    return record


def collect(visits, of):
    return {page: value for page, record in visits.items() if (value := of(record))}


def test_the_whole_book_was_built(pages):
    assert {"index.html", "book/notation.html", "book/results.html", "book/bibliography.html"} <= set(pages)


def test_no_page_names_an_external_resource(site, pages):
    found = {page: external_fetches((site / page).read_text(encoding="utf-8")) for page in pages}
    assert {page: addresses for page, addresses in found.items() if addresses} == {}


def test_no_style_sheet_names_an_external_resource(site):
    found = {}
    for path in site.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        addresses = re.findall(r"(?:url\(\s*|@import\s+)['\"]?([^)'\";]+)", text)
        if external := [address for address in addresses if is_external(address)]:
            found[path.name] = external
    assert found == {}


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.org/x.css">',
        '<img alt="x" src="http://example.org/x.png">',
        '<iframe src="https://example.org"></iframe>',
        "<div style=\"background: url('https://example.org/x.png')\"></div>",
    ],
)
def test_the_scan_finds_what_it_looks_for(html):
    assert external_fetches(html)


def test_the_scan_leaves_links_and_local_files_alone():
    html = '<a href="https://arxiv.org">x</a><img src="../_images/x.png"><link rel="next" href="https://example.org">'
    assert external_fetches(html) == []


def test_no_page_tries_to_reach_the_network(visits):
    assert collect(visits, lambda record: record.attempts) == {}


def test_no_page_misses_a_file(visits):
    assert collect(visits, lambda record: record.missing) == {}


def test_no_page_logs_an_error(visits):
    assert collect(visits, lambda record: record.errors) == {}


def test_all_mathematics_is_rendered(visits):
    seen = {page: record.seen for page, record in visits.items()}
    assert sum(page["math"] for page in seen.values()) > 0
    assert {name: page for name, page in seen.items() if page["rendered"] < page["math"]} == {}
    assert collect(visits, lambda record: record.seen["mathErrors"]) == {}


def test_each_image_loads_and_has_an_alt_text(visits):
    def bad(record):
        name = re.compile(r"^\S+\.(?:png|svg|jpe?g)$|^_images/")
        return [
            i
            for i in record.seen["images"]
            if not i["loaded"] or not i["alt"].strip() or name.search(i["alt"])
        ]

    assert collect(visits, bad) == {}


def test_no_page_scrolls_sideways_on_a_phone(visits):
    assert collect(visits, lambda record: record.seen["tooWide"]) == {}
    assert collect(visits, lambda record: record.seen["outside"]) == {}


def test_no_equation_slides_under_its_number(visits):
    assert collect(visits, lambda record: record.seen["hidden"]) == {}
