"""What was measured: the JSON files that the course's benchmarks write, wherever the package runs.

In a checkout they lie in benchmarks/results. On Colab only the package is installed, so they are downloaded
from the course's repository, once, into the folder of the datasets.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from microgpt_ref._files import atomic_write
from microgpt_ref.datasets import SILENCE, DownloadError, RemoteFile, data_folder, explained

REPOSITORY = "https://github.com/microgpt-course/microgpt@main"
RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"


def load(name: str) -> dict[str, Any]:
    """What `python -m benchmarks.NAME` wrote: machine, versions, date, and the numbers.

    Args:
        name: such as "speedrun" or "throughput".

    Raises:
        ValueError: for a name that no benchmark can have.
        FileNotFoundError: this checkout has no such result.
        DownloadError: there is no checkout, and the file could not be downloaded.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"name={name!r} is not a benchmark's name; use one such as 'speedrun'")
    path = RESULTS / f"{name}.json"
    if not RESULTS.is_dir():
        path = data_folder() / "results" / path.name
        if not path.exists():
            _download(name, path)
    elif not path.exists():
        known = ", ".join(sorted(file.stem for file in RESULTS.glob("*.json")))
        raise FileNotFoundError(
            f"name={name!r} was not measured; there are {known}. To measure it: python -m benchmarks.{name}"
        )
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def address(name: str) -> str:
    """Where the repository has that file."""
    repository, branch = REPOSITORY.split("@")
    return f"{repository}/raw/{branch}/benchmarks/results/{name}.json"


def _download(name: str, path: Path) -> None:
    import pooch

    file = RemoteFile(path.name, address(name), sha256="")  # it changes with each measurement
    with explained(file, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            pooch.HTTPDownloader(chunk_size=1 << 16, timeout=SILENCE)(file.url, part, None)
            part.flush()
            try:
                json.loads(Path(part.name).read_text(encoding="utf-8"))
            except ValueError as error:
                raise DownloadError(f"{file.url} gave no JSON; try again later") from error
