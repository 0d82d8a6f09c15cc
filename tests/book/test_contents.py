"""The contents, the settings, the landing page and the files on disk agree."""

import re

import pytest
import yaml

from book.figures import draw
from book.tools.notebooks import chapters
from book.tools.repository import ROOT
from microgpt_ref.config import GPTConfig
from microgpt_ref.torch.gpt import GPT

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
LANDING = (ROOT / "index.md").read_text(encoding="utf-8")
PAGES = [entry["file"] for part in TOC["parts"] for entry in part["chapters"]]


def title(path):
    return re.search(r"# (.+?)(?:\\n|\n|\")", path.read_text(encoding="utf-8"))[1].strip()


@pytest.mark.parametrize("page", [TOC["root"], *PAGES])
def test_page_in_the_contents_exists(page):
    assert any((ROOT / f"{page}{ending}").is_file() for ending in (".md", ".ipynb"))


def test_each_page_stands_once():
    assert len(set(PAGES)) == len(PAGES)


def test_each_chapter_is_in_the_contents_in_order():
    listed = [page for page in PAGES if page.startswith("chapters/")]
    assert listed == [f"chapters/{path.stem}" for path in chapters()]


def test_each_page_of_the_book_is_in_the_contents():
    written = {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")}
    assert written == {page for page in PAGES if page.startswith("book/")}


def test_the_landing_page_links_each_chapter_and_calls_the_others_planned():
    rows = re.findall(r"^\|[^|]*\| *(\d+) ([^|]+)\|([^|]*)\|$", LANDING, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 18))
    written = {int(path.stem[:2]): path.name for path in chapters()}
    for number, name, what in rows:
        if int(number) in written:
            assert f"(chapters/{written[int(number)]})" in name
            assert "planned" not in what
        else:
            assert "](" not in name
            assert what.strip().endswith("(planned)")


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_the_landing_page_calls_a_chapter_by_its_title(path):
    names = re.findall(rf"\[([^\]]+)\]\(chapters/{path.name}\)", LANDING)
    assert title(path) in names


def test_settings_name_files_that_exist():
    for name in (CONFIG["logo"], CONFIG["html"]["favicon"], *CONFIG["bibtex_bibfiles"]):
        assert (ROOT / name).is_file()
    styles = CONFIG["sphinx"]["config"]
    for folder in styles["html_static_path"]:
        assert all((ROOT / folder / name).is_file() for name in styles["html_css_files"])


def test_notebooks_are_not_run_by_the_book():
    assert CONFIG["execute"]["execute_notebooks"] == "off"


@pytest.mark.parametrize("name", draw.PICTURES)
def test_pictures_are_what_their_script_draws(name):
    assert (draw.FOLDER / name).read_text(encoding="utf-8") == draw.PICTURES[name](), "run: make figures"


def test_the_picture_has_a_description_and_type_for_a_phone():
    picture = draw.what_you_build()
    assert "<title " in picture
    assert "<desc " in picture
    sizes = [int(size) for size in re.findall(r"font: \d+ (\d+)px", draw.STYLE)]
    assert min(sizes) >= 13
    assert draw.WIDTH <= 360


def test_notation_lists_the_real_parameters():
    """Every name and shape of the table exists in a model, and every parameter stands in the table."""
    table = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([\w.]+)` \| \(([^)]+)\) \|", table, re.MULTILINE))
    sizes = {"B": 2, "T": 12, "C": 8, "3C": 24, "F": 20, "V": 11}
    built = {}
    for activation in ("gelu", "swiglu"):
        config = GPTConfig(
            vocab_size=11, context=12, d_model=8, n_layer=1, n_head=2, d_ff=20, activation=activation,
            tied_head=False, head_bias=True,
        )  # fmt: skip
        built |= {name: tuple(p.shape) for name, p in GPT(config).state_dict().items()}
    expected = {name.replace("blocks.0", "blocks.i"): shape for name, shape in built.items()}
    assert {name: tuple(sizes[s] for s in shape.split(", ")) for name, shape in listed.items()} == expected


def test_bibliography_entries_are_complete():
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    entries = re.split(r"^@", text, flags=re.MULTILINE)[1:]
    keys = [re.match(r"\w+\{(\w+),", entry)[1] for entry in entries]
    assert len(set(keys)) == len(keys) >= 30
    for key, entry in zip(keys, entries, strict=True):
        assert "author = " in entry, key
        assert "title = " in entry, key
        assert re.search(r"\b(year|url|note) = ", entry), key
