"""Named text: the stories made on the spot, public texts downloaded once and checked, and your own file.

    load("stories")            the embedded corpus: no network, the same everywhere
    load("tinyshakespeare")    Karpathy's 1,115,394 characters of Shakespeare
    load("wikitext2")          WikiText-2: 12 million characters of Wikipedia (Merity et al. 2016)
    load("path/to/my.txt")     any UTF-8 text file

Downloads go to `data_folder()`: the folder in the environment variable MICROGPT_DATA, or else a cache folder.
A file under its final name is always whole and has the sha256 below; what is already there is never changed.
"""

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from microgpt_ref._files import atomic_write

MINIMUM_CHARACTERS = 100  # a tenth of them must still be enough to score a prediction
SILENCE = 30  # seconds that a server may send nothing; the whole download may take longer


@dataclass(frozen=True)
class Dataset:
    """A text in two parts. The validation part is never trained on."""

    name: str
    train: str
    validation: str

    @property
    def characters(self) -> str:
        """The distinct characters of both parts, sorted: what a character tokenizer needs."""
        return "".join(sorted({*self.train, *self.validation}))

    def describe(self) -> str:
        """One line that says what this is."""
        return (
            f"{self.name}: {len(self.train):,} characters to train on, {len(self.validation):,} to validate, "
            f"{len(self.characters)} distinct"
        )

    def __repr__(self) -> str:
        return f"Dataset({self.describe()})"


@dataclass(frozen=True)
class RemoteFile:
    """A public file, known by its content: `sha256` in 64 hex digits."""

    filename: str
    url: str
    sha256: str


_HH_RLHF = "https://raw.githubusercontent.com/anthropics/hh-rlhf/master/harmless-base"
_WIKITEXT2 = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2"

FILES = {
    "tinyshakespeare": RemoteFile(
        "tinyshakespeare.txt",
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "wikitext2_train": RemoteFile(
        "wikitext2_train.txt",
        f"{_WIKITEXT2}/train.txt",
        "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
    ),
    "wikitext2_valid": RemoteFile(
        "wikitext2_valid.txt",
        f"{_WIKITEXT2}/valid.txt",
        "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
    ),
    # conversations, which `chat.load_conversations` reads
    "hh_rlhf_train": RemoteFile(
        "hh_rlhf_harmless_base_train.jsonl.gz",
        f"{_HH_RLHF}/train.jsonl.gz",
        "bf3e1ecd3db61bf21d190f69351d26670c67aababa0fd282fa008c17a7202217",
    ),
    "hh_rlhf_test": RemoteFile(
        "hh_rlhf_harmless_base_test.jsonl.gz",
        f"{_HH_RLHF}/test.jsonl.gz",
        "ebfaaed21162a4de120ae85366075b34425e2a6303fac59b99555002f7016f03",
    ),
    "alpaca": RemoteFile(
        "alpaca_data.json",
        "https://raw.githubusercontent.com/tatsu-lab/stanford_alpaca/"
        "761dc5bfbdeeffa89b8bff5d038781a4055f796a/alpaca_data.json",
        "2eddafc6b977608d778aaab8dfc7e50e547b3af9826dfb9e909d9fc362e4a419",
    ),
}

NAMES = ("stories", "tinyshakespeare", "wikitext2")


class DownloadError(OSError):
    """A public file is neither at hand nor to be had; the message says why and what to do."""


def load(name_or_path: str | Path, *, characters: int | None = None, seed: int | None = None) -> Dataset:
    """The text of a dataset in NAMES, or of a UTF-8 text file; a file is split 90 % / 10 %, in order.

    A name wins over a file of the same name; write "./stories" for the file.

    Args:
        name_or_path: one of NAMES or the path of a file.
        characters: stories only: at least so many to train on (default 1,000,000), a tenth to validate.
        seed: stories only: another seed, other stories (default 0).

    Raises:
        FileNotFoundError, IsADirectoryError: `name_or_path` is no dataset and no file.
        ValueError: the file is empty, short, binary or not UTF-8, or an argument is for stories only.
        DownloadError: see `fetch`.
    """
    name = str(name_or_path)
    if name == "stories":
        return _stories(1_000_000 if characters is None else characters, 0 if seed is None else seed)
    for argument, value in (("characters", characters), ("seed", seed)):
        if value is not None:
            raise ValueError(f'{argument}={value} is for load("stories") only; leave it out for {name!r}')
    if name == "tinyshakespeare":
        return _split(name, read_text(fetch(name)))
    if name == "wikitext2":
        train, validation = (read_text(fetch(f"wikitext2_{part}")) for part in ("train", "valid"))
        return Dataset(name, train, validation)
    return _split(name, read_text(name_or_path))


def _stories(characters: int, seed: int) -> Dataset:
    if characters < MINIMUM_CHARACTERS:
        raise ValueError(f"characters={characters} is too few; use {MINIMUM_CHARACTERS} or more")
    from microgpt_ref import stories

    validation = stories.corpus(characters // 10, seed, "validation")
    return Dataset("stories", stories.corpus(characters, seed, "train"), validation)


def _split(name: str, text: str) -> Dataset:
    border = int(0.9 * len(text))
    return Dataset(name, text[:border], text[border:])


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file. Line ends become "\\n", a byte order mark is dropped. Errors as in `load`."""
    path = Path(path).expanduser()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the path of one text file")
    if not path.exists():
        near = difflib.get_close_matches(str(path), NAMES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(NAMES)}"
        raise FileNotFoundError(f"{str(path)!r} is neither a dataset's name nor a file; {hint}")
    content = path.read_bytes()
    if not content:
        raise ValueError(f"{path} is empty; give a text file of {MINIMUM_CHARACTERS} characters or more")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text: byte {error.start} is 0x{content[error.start]:02x}; "
            "convert it, for instance with: iconv -f UTF-16 -t UTF-8 (or -f WINDOWS-1252)"
        ) from None
    if "\0" in text:
        raise ValueError(f"{path} looks binary: character {text.index(chr(0))} is NUL; give a text file")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) < MINIMUM_CHARACTERS:
        raise ValueError(
            f"{path} has {len(text)} characters; training and validation need {MINIMUM_CHARACTERS} or more"
        )
    return text


def data_folder() -> Path:
    """Where downloaded files are kept: $MICROGPT_DATA, or else the platform's cache folder."""
    import pooch

    chosen = os.environ.get("MICROGPT_DATA")
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("microgpt"))


def fetch(name: str) -> Path:
    """The path of the file `name` (a key of FILES), downloaded if it is not in `data_folder()` yet.

    Raises:
        DownloadError: no network, a server's error, a wrong sha256 (of what came or of what was there), a
            folder that cannot be written, a full disk. No partial file stays behind.
    """
    import pooch

    if name not in FILES:
        raise ValueError(f"name={name!r} is not a public file; choose from {', '.join(FILES)}")
    file, path = FILES[name], data_folder() / FILES[name].filename
    if not path.exists():
        _download(file, path)
    elif (seen := pooch.file_hash(str(path), alg="sha256")) != file.sha256:
        raise DownloadError(
            f"{path} is not the {name} expected: its sha256 is {seen}, not {file.sha256}; "
            "delete it to download it again, or rename it and load it by its path"
        )
    return path


def _download(file: RemoteFile, path: Path) -> None:
    """Fetch `file` to `path`, whole and checked, or raise DownloadError and leave nothing."""
    import pooch

    with explained(file, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # pooch learns the total later, but takes a bar without one for no bar at all
        bar = tqdm(total=1, unit="B", unit_scale=True, desc=file.filename, leave=False)
        with atomic_write(path) as part, bar as progress:
            download = pooch.HTTPDownloader(progressbar=progress, chunk_size=1 << 16, timeout=SILENCE)
            download(file.url, part, None)
            part.flush()
            seen = pooch.file_hash(part.name, alg="sha256")
            if seen != file.sha256:
                raise DownloadError(
                    f"{file.url} gave a file with the sha256 {seen}, not {file.sha256}; it was thrown away: "
                    f"try again, or put the right file at {path} by hand"
                )


@contextmanager
def explained(file: RemoteFile, path: Path) -> Iterator[None]:
    """Turn what a network or a disk can do into one DownloadError that says what to do."""
    import requests

    try:
        yield
    except DownloadError:
        raise
    except requests.RequestException as error:
        status = error.response.status_code if error.response is not None else None
        reason = f"the server answered {status}" if status else f"{type(error).__name__}, is there a network?"
        raise DownloadError(
            f"{file.filename} could not be downloaded from {file.url} ({reason}); try again with a "
            f"network, or put the file into {path.parent} by hand (MICROGPT_DATA names another folder)"
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{file.filename} could not be written into {path.parent} ({error.strerror or error}); make room "
            "or set MICROGPT_DATA to a folder that can be written, or that holds the file"
        ) from error
