"""The address of the repository: set once in `_config.yml`, and rewritten everywhere by one command.

    make repository URL=https://github.com/you/fork [BRANCH=main]

Colab opens chapters from it, setup cells install from it, and the book links to it.
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
    address = re.compile(
        re.escape(old.url) + r"(?![A-Za-z0-9_-])(?P<branch>@" + re.escape(old.branch) + r"\b)?"
    )
    changed = []
    for path in text_files(root):
        before = path.read_text(encoding="utf-8")
        after = address.sub(lambda match: new.url + (f"@{new.branch}" if match["branch"] else ""), before)
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
