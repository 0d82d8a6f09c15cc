"""The address of the repository: set once in `_config.yml`, and rewritten everywhere by one command.

    make repository URL=https://github.com/you/fork [BRANCH=main]

Colab opens chapters and exercises from it, setup cells install from it, and the book links to it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT_FILES = (".md", ".ipynb", ".yml", ".toml", ".cff", ".py", ".html", ".css", ".bib", ".svg", ".txt")
GITHUB = "https://github.com"
COLAB = "https://colab.research.google.com/github"
URL = re.compile(r"https://github\.com/[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]*[A-Za-z0-9_-]")


class RepositoryError(Exception):
    """The setting is missing or is no GitHub address; the message says what to write instead."""


@dataclass(frozen=True)
class Repository:
    """Where the course lives: `https://github.com/owner/name`, without an ending, and its branch."""

    url: str
    branch: str

    def __post_init__(self) -> None:
        if not URL.fullmatch(self.url) or self.url.endswith(".git"):
            raise RepositoryError(
                f"URL={self.url!r} is not a repository; write https://github.com/OWNER/NAME"
                " without a slash or .git at the end (Colab opens chapters from GitHub only)"
            )
        if not re.fullmatch(r"[A-Za-z0-9._/-]+", self.branch):
            raise RepositoryError(f"BRANCH={self.branch!r} is not a branch; write its name, such as main")

    @property
    def requirement(self) -> str:
        """What pip installs on Colab."""
        return f"microgpt-ref @ git+{self.url}@{self.branch}"

    def file(self, path: str) -> str:
        """The page of a file, such as `chapters/04_attention.ipynb`."""
        return f"{self.url}/blob/{self.branch}/{path}"

    def colab(self, path: str) -> str:
        """The address that opens a notebook on Colab."""
        return COLAB + self.file(path).removeprefix(GITHUB)


def configured(root: Path = ROOT) -> Repository:
    """The one setting, from `_config.yml`."""
    setting = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8")).get("repository", {})
    return Repository(setting.get("url", ""), setting.get("branch", ""))


def requirement(root: Path = ROOT) -> str:
    return configured(root).requirement


def text_files(root: Path) -> Iterator[Path]:
    """Every text file that git tracks or would track, but for the tests, whose addresses are examples."""
    listing = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in sorted(set(names) - {""}):
        path = root / name
        if name.startswith("tests/"):
            continue
        if (path.suffix in TEXT_FILES or path.name.startswith("LICENSE")) and path.is_file():
            yield path


def rename(old: Repository, new: Repository, root: Path = ROOT) -> list[Path]:
    """Put `new` wherever `old` stands; returns the files that changed."""
    place = {one: one.url.removeprefix(GITHUB) for one in (old, new)}  # /owner/name
    branch = r"(?:(?P<before>@|/blob/|/tree/)" + re.escape(old.branch) + r"\b)?"
    address = re.compile(
        rf"(?P<site>{re.escape(GITHUB)}|{re.escape(COLAB)}){re.escape(place[old])}(?![A-Za-z0-9_-]){branch}"
    )

    def renamed(match: re.Match[str]) -> str:
        return match["site"] + place[new] + (match["before"] + new.branch if match["before"] else "")

    changed = []
    for path in text_files(root):
        before = path.read_text(encoding="utf-8")
        after = address.sub(renamed, before)
        if path == root / "_config.yml":
            after = re.sub(r"(?m)^(  branch:\s*)\S+", lambda match: match[1] + new.branch, after)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make repository", description="Name another repository everywhere."
    )
    parser.add_argument("url", help="https://github.com/OWNER/NAME")
    parser.add_argument("branch", nargs="?", help="as it is, if not given")
    options = parser.parse_args(arguments)
    try:
        old = configured()
        new = Repository(options.url.strip(), options.branch or old.branch)
    except RepositoryError as error:
        print(error, file=sys.stderr)
        return 1
    changed = rename(old, new)
    print(f"{old.url}@{old.branch} → {new.url}@{new.branch}: {len(changed)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
