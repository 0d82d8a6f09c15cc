"""One setting names the repository, everything agrees with it, and one command changes it everywhere."""

import shutil
import subprocess

import pytest

from book.tools.masters import masters
from book.tools.notebooks import chapters
from book.tools.repository import (
    COLAB,
    ROOT,
    URL,
    Repository,
    RepositoryError,
    configured,
    main,
    rename,
    text_files,
)

HERE = configured()
MUST_NAME_IT = (
    "_config.yml",
    "README.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE-TEXT",
    "microgpt_ref/measured.py",
    "pyproject.toml",
    "book/how_to_use.md",
    "book/lecturers.md",
    *(f"exercises/{part}{path.name}" for path in masters() for part in ("", "solutions/")),
    *(f"chapters/{path.name}" for path in chapters()),
)


@pytest.fixture
def copy(tmp_path):
    """The text of this repository in a repository of its own."""
    for path in text_files(ROOT):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def texts(root):
    return {path.relative_to(root): path.read_bytes() for path in text_files(root)}


@pytest.mark.parametrize("name", MUST_NAME_IT)
def test_file_names_the_configured_repository(name):
    assert HERE.url in (ROOT / name).read_text(encoding="utf-8")


def test_no_file_names_another_address_of_this_course():
    owner, name = HERE.url.split("/")[-2:]
    for path in text_files(ROOT):
        for address in URL.findall(path.read_text(encoding="utf-8")):
            other_owner, other_name = address.split("/")[-2:]
            assert (other_owner == owner) == (other_name == name), f"{path.name} names {address}"


def test_one_command_changes_it_everywhere_and_back(copy):
    before = texts(copy)
    fork = Repository("https://github.com/you/my.fork", "trunk")
    changed = rename(HERE, fork, copy)
    assert {str(path.relative_to(copy)) for path in changed} >= set(MUST_NAME_IT)
    assert configured(copy) == fork
    place = HERE.url.removeprefix("https://github.com/")
    assert not any(HERE.url.encode() in text for text in texts(copy).values())
    assert not any(f"{COLAB}/{place}".encode() in text for text in texts(copy).values())
    for path in [*(copy / "chapters").glob("*.ipynb"), *(copy / "exercises").rglob("*.ipynb")]:
        assert fork.requirement in path.read_text(encoding="utf-8")
    for path in (copy / "exercises").glob("*.ipynb"):
        assert fork.colab(f"chapters/{path.name}") in path.read_text(encoding="utf-8")
        assert fork.colab(f"exercises/{path.name}") in (copy / "chapters" / path.name).read_text(
            encoding="utf-8"
        )
    rename(fork, HERE, copy)
    assert texts(copy) == before


def test_a_longer_name_is_not_taken_for_this_one(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    text = f"{HERE.url}-extras {HERE.url}."
    (tmp_path / "x.md").write_text(text, encoding="utf-8")
    rename(HERE, Repository("https://github.com/you/fork", "main"), tmp_path)
    assert (tmp_path / "x.md").read_text(
        encoding="utf-8"
    ) == f"{HERE.url}-extras https://github.com/you/fork."


@pytest.mark.parametrize(
    "url",
    ["", "you/fork", "git@github.com:you/fork", "https://github.com/you", "https://github.com/you/fork/",
     "https://github.com/you/fork.git", "https://gitlab.com/you/fork"],
)  # fmt: skip
def test_a_wrong_address_is_refused(url):
    with pytest.raises(RepositoryError, match=r"write https://github\.com/OWNER/NAME"):
        Repository(url, "main")


def test_the_command_refuses_a_wrong_address_and_changes_nothing(capsys):
    before = (ROOT / "_config.yml").read_bytes()
    assert main(["fork"]) == 1
    assert "URL='fork'" in capsys.readouterr().err
    assert (ROOT / "_config.yml").read_bytes() == before


def test_a_wrong_branch_is_refused():
    with pytest.raises(RepositoryError, match="BRANCH='a b'"):
        Repository("https://github.com/you/fork", "a b")
