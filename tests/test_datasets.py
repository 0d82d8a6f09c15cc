"""Files of every kind, and downloads from a server on this machine that does all the wrong things."""

import gzip
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from microgpt_ref import datasets
from microgpt_ref.datasets import Dataset, DownloadError, RemoteFile, load, read_text

CONTENT = "".join(f"Line {i}: the lamp was lit on the {i % 7}th day.\n" for i in range(3000)).encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Reply = Callable[[BaseHTTPRequestHandler], None]


# --- a server with faults -----------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Answers every request as `reply` says, and counts them."""

    daemon_threads = True
    reply: Reply
    requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/small.txt"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that gives up is part of the tests


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        self.server.reply(self)

    def log_message(self, *_: object) -> None:
        pass


def send(handler: BaseHTTPRequestHandler, body: bytes, length: int | None = None, **headers: str) -> None:
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def healthy(handler: BaseHTTPRequestHandler) -> None:
    send(handler, CONTENT, len(CONTENT))


def wrong_content(handler: BaseHTTPRequestHandler) -> None:
    send(handler, CONTENT[:-1] + b"!", len(CONTENT))


def cut(handler: BaseHTTPRequestHandler) -> None:
    send(handler, CONTENT[:50_000], len(CONTENT))


def cut_without_length(handler: BaseHTTPRequestHandler) -> None:
    send(handler, CONTENT[:50_000])


def cut_at_once(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def empty(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"", 0)


def status(code: int) -> Reply:
    return lambda handler: handler.send_error(code)


def slow(pause: float) -> Reply:
    """In five pieces with a pause before each."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        step = len(CONTENT) // 5 + 1
        for first in range(0, len(CONTENT), step):
            time.sleep(pause)
            handler.wfile.write(CONTENT[first : first + step])

    return reply


def zipped(handler: BaseHTTPRequestHandler) -> None:
    body = gzip.compress(CONTENT)
    send(handler, body, len(body), Content_Encoding="gzip")


def no_network(handler: BaseHTTPRequestHandler) -> None:
    raise AssertionError("no request was expected")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = Server(("127.0.0.1", 0), Handler)
    server.reply = healthy
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setitem(datasets.FILES, "small", RemoteFile("small.txt", server.url, SHA256))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, two levels deep and not there yet."""
    folder = tmp_path / "cache" / "data"
    monkeypatch.setenv("MICROGPT_DATA", str(folder))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def assert_nothing_left_and_a_second_try_succeeds(server: Server, folder: Path) -> None:
    assert names(folder) == []
    server.reply = healthy
    assert datasets.fetch("small").read_bytes() == CONTENT
    assert names(folder) == ["small.txt"]


# --- downloads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [healthy, slow(0.1), zipped])
def test_a_download_is_kept_and_used_again(server: Server, folder: Path, reply: Reply):
    server.reply = reply
    path = datasets.fetch("small")
    assert path == folder / "small.txt"
    assert path.read_bytes() == CONTENT
    server.reply = no_network
    assert datasets.fetch("small") == path
    assert server.requests == 1
    assert names(folder) == ["small.txt"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            wrong_content,
            rf"sha256 {hashlib.sha256(CONTENT[:-1] + b'!').hexdigest()}, not {SHA256}; it was thrown away",
        ),
        (cut, r"could not be downloaded .*is there a network"),
        (cut_without_length, rf"not {SHA256}; it was thrown away"),
        (cut_at_once, r"ConnectionError, is there a network"),
        (empty, rf"sha256 {hashlib.sha256(b'').hexdigest()}, not"),
        (status(404), r"the server answered 404"),
        (status(503), r"the server answered 503"),
    ],
)
def test_a_faulty_server(server: Server, folder: Path, reply: Reply, message: str):
    server.reply = reply
    with pytest.raises(DownloadError, match=message) as caught:
        datasets.fetch("small")
    text = str(caught.value)
    assert server.url in text, "the message names the URL"
    assert str(folder) in text, "the message names the folder"
    assert "by hand" in text, "the message names the way out"
    assert "\n" not in text
    assert_nothing_left_and_a_second_try_succeeds(server, folder)


def test_a_silent_server(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets, "SILENCE", 0.2)
    server.reply = slow(1.0)
    with pytest.raises(DownloadError, match="is there a network"):
        datasets.fetch("small")
    assert_nothing_left_and_a_second_try_succeeds(server, folder)


def test_no_server_at_all(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch):
    closed = Server(("127.0.0.1", 0), Handler)
    url = closed.url
    closed.server_close()
    monkeypatch.setitem(datasets.FILES, "small", RemoteFile("small.txt", url, SHA256))
    with pytest.raises(DownloadError, match="is there a network") as caught:
        datasets.fetch("small")
    assert url in str(caught.value)
    assert str(folder) in str(caught.value)
    monkeypatch.setitem(datasets.FILES, "small", RemoteFile("small.txt", server.url, SHA256))
    assert_nothing_left_and_a_second_try_succeeds(server, folder)


FETCH = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a shell's background begins without it
from microgpt_ref import datasets
datasets.FILES["small"] = datasets.RemoteFile("small.txt", sys.argv[1], sys.argv[2])
if len(sys.argv) > 3:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    print(datasets.fetch("small"))
except datasets.DownloadError as error:
    print("DownloadError:", error)
except KeyboardInterrupt:
    print("KeyboardInterrupt")
"""


def start_fetch(server: Server, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, server.url, SHA256, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("limit", [0, 70_000, len(CONTENT) - 1])
def test_a_full_disk(server: Server, folder: Path, limit: int):
    """A real limit of the operating system on what the process may write, reached at different moments."""
    output, _ = start_fetch(server, str(limit)).communicate(timeout=60)
    assert output.startswith("DownloadError: small.txt could not be written into "), output
    assert str(folder) in output
    assert "make room or set MICROGPT_DATA" in output
    assert_nothing_left_and_a_second_try_succeeds(server, folder)


def test_several_processes_at_once(server: Server, folder: Path):
    server.reply = slow(0.3)  # longer than the processes take to start one after another
    processes = [start_fetch(server) for _ in range(3)]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert output.strip() == str(folder / "small.txt"), errors
    assert server.requests == 3
    assert (folder / "small.txt").read_bytes() == CONTENT
    assert names(folder) == ["small.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_interrupted_by_ctrl_c(server: Server, folder: Path):
    server.reply = slow(1.0)
    process = start_fetch(server)
    wait_for(lambda: names(folder) != [])
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output.strip() == "KeyboardInterrupt"
    assert_nothing_left_and_a_second_try_succeeds(server, folder)


def test_killed_in_the_middle(server: Server, folder: Path):
    """Nothing can tidy up after SIGKILL, but the final name stays free and the next try succeeds."""
    server.reply = slow(1.0)
    process = start_fetch(server)
    wait_for(lambda: names(folder) != [])
    process.kill()
    process.communicate(timeout=60)
    assert not (folder / "small.txt").exists()
    assert all(name.endswith(".part") for name in names(folder))
    server.reply = healthy
    assert datasets.fetch("small").read_bytes() == CONTENT


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@pytest.mark.parametrize("disable", ["", "1"])
def test_the_progress_bar_can_be_turned_off(server: Server, folder: Path, disable: str):
    server.reply = slow(0.3)
    _, errors = start_fetch(server, TQDM_DISABLE=disable).communicate(timeout=60)
    assert (folder / "small.txt").exists()
    if disable:
        assert errors == ""
    else:
        assert "small.txt:  50%" in errors
        assert errors.splitlines()[-1].strip() == "", "the finished bar is wiped away"


# --- files that are there already ---------------------------------------------------------------------------


def test_a_file_put_there_by_hand_is_used(server: Server, folder: Path):
    server.reply = no_network
    folder.mkdir(parents=True)
    (folder / "small.txt").write_bytes(CONTENT)
    assert datasets.fetch("small").read_bytes() == CONTENT
    assert server.requests == 0


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"\n"])
def test_a_wrong_file_is_named_and_never_touched(server: Server, folder: Path, content: bytes):
    folder.mkdir(parents=True)
    path = folder / "small.txt"
    path.write_bytes(content)
    with pytest.raises(DownloadError) as caught:
        datasets.fetch("small")
    for part in (str(path), SHA256, hashlib.sha256(content).hexdigest(), "delete it"):
        assert part in str(caught.value)
    assert path.read_bytes() == content
    assert server.requests == 0
    path.unlink()
    assert_nothing_left_and_a_second_try_succeeds(server, folder)


def test_a_read_only_folder_is_only_read(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The superuser may write anywhere, so besides the folder's mode, every writing call is a failure."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing may be written")

    folder.mkdir(parents=True)
    (folder / "small.txt").write_bytes(CONTENT)
    folder.chmod(0o555)
    before = folder.stat().st_mtime_ns
    monkeypatch.setattr(datasets, "atomic_write", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    try:
        assert datasets.fetch("small").read_bytes() == CONTENT
        assert folder.stat().st_mtime_ns == before
    finally:
        folder.chmod(0o755)


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("a file, not a folder")
    monkeypatch.setenv("MICROGPT_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(DownloadError, match=r"could not be written into .*set MICROGPT_DATA to a folder"):
        datasets.fetch("small")


def test_the_data_folder_is_a_setting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MICROGPT_DATA", "~/texts")
    assert datasets.data_folder() == Path.home() / "texts"
    for unset in (
        lambda: monkeypatch.setenv("MICROGPT_DATA", ""),
        lambda: monkeypatch.delenv("MICROGPT_DATA"),
    ):
        unset()
        assert datasets.data_folder().name == "microgpt"
        assert datasets.data_folder().is_absolute()


def test_fetch_knows_its_names():
    with pytest.raises(
        ValueError, match="name='shakespeare' is not a public file; choose from tinyshakespeare"
    ):
        datasets.fetch("shakespeare")


def test_the_list_of_public_files():
    for file in datasets.FILES.values():
        assert file.url.startswith("https://")
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert re.fullmatch(r"\w+\.(txt|json|jsonl\.gz)", file.filename)
    for attribute in ("filename", "url", "sha256"):
        assert len({getattr(file, attribute) for file in datasets.FILES.values()}) == len(datasets.FILES)


@pytest.mark.parametrize("name", sorted(datasets.FILES))
def test_the_real_files_are_the_listed_ones(name: str):
    path = datasets.data_folder() / datasets.FILES[name].filename
    if not path.exists():
        pytest.skip(f"{path.name} is not in MICROGPT_DATA")
    assert datasets.fetch(name) == path


# --- load ---------------------------------------------------------------------------------------------------


def test_tinyshakespeare():
    if not (datasets.data_folder() / "tinyshakespeare.txt").exists():
        pytest.skip("tinyshakespeare.txt is not in MICROGPT_DATA")
    dataset = load("tinyshakespeare")
    assert (len(dataset.train), len(dataset.validation)) == (1_003_854, 111_540)
    assert dataset.train.startswith("First Citizen:\n")
    assert len(dataset.characters) == 65
    assert dataset.describe() == (
        "tinyshakespeare: 1,003,854 characters to train on, 111,540 to validate, 65 distinct"
    )


def test_wikitext2_has_two_files(folder: Path, monkeypatch: pytest.MonkeyPatch):
    texts = {"wikitext2_train": "to train on " * 20, "wikitext2_valid": "to validate " * 10}
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
        file = RemoteFile(f"{name}.txt", "https://no.invalid", hashlib.sha256(text.encode()).hexdigest())
        monkeypatch.setitem(datasets.FILES, name, file)
    assert load("wikitext2") == Dataset("wikitext2", *texts.values())


def test_stories_need_no_network(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets, "fetch", no_network)
    dataset = load("stories", characters=20_000)
    assert 20_000 <= len(dataset.train) < 21_000
    assert 2_000 <= len(dataset.validation) < 3_000
    assert dataset.train.endswith("\n")
    assert not set(dataset.train.splitlines()) & set(dataset.validation.splitlines())
    assert load("stories", characters=20_000, seed=0) == dataset
    assert load("stories", characters=20_000, seed=1).train != dataset.train


@pytest.mark.parametrize("characters", [-1, 0, 99])
def test_too_few_stories(characters: int):
    with pytest.raises(ValueError, match=f"characters={characters} is too few; use 100 or more"):
        load("stories", characters=characters)


@pytest.mark.parametrize("extra", [{"characters": 500}, {"seed": 0}])
def test_story_settings_are_for_stories(tmp_path: Path, extra: dict[str, int]):
    path = tmp_path / "my.txt"
    path.write_text("words " * 100)
    with pytest.raises(ValueError, match=r'is for load\("stories"\) only; leave it out'):
        load(path, **extra)


@pytest.mark.parametrize("length", [100, 101, 109, 1000])
def test_a_file_is_split_in_order_and_whole(tmp_path: Path, length: int):
    text = "".join(chr(0x1F300 + i % 200) for i in range(length))
    path = tmp_path / "my.txt"
    path.write_text(text, encoding="utf-8")
    dataset = load(path)
    assert dataset == load(str(path))
    assert dataset.name == str(path)
    assert dataset.train + dataset.validation == text
    assert len(dataset.train) == length * 9 // 10
    assert dataset.characters == "".join(sorted(set(text)))


def test_line_ends_and_byte_order_mark(tmp_path: Path):
    path = tmp_path / "windows.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"one\r\ntwo\rthree\n" * 10)
    assert read_text(path) == "one\ntwo\nthree\n" * 10


def test_a_path_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "my.txt").write_text("words " * 100)
    assert load("~/my.txt").train.startswith("words ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"my\.txt is empty; give a text file of 100 characters or more"),
        (b"x" * 99, r"my\.txt has 99 characters; training and validation need 100 or more"),
        (b"\r\n" * 99, r"has 99 characters"),
        ("é".encode() * 99, r"has 99 characters"),
        (b"text \x00" * 50, r"looks binary: character 5 is NUL"),
        (b"caf\xe9 " * 50, r"is not UTF-8 text: byte 3 is 0xe9; convert it"),
        ("words ".encode("utf-16") * 50, r"is not UTF-8 text: byte 0 is 0xff"),
        (gzip.compress(b"words " * 50, mtime=0), r"is not UTF-8 text: byte 1 is 0x8b"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "my.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_missing_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"'tinyshakespear' is neither .*did you mean 'tinyshakespeare'"
    ):
        load("tinyshakespear")
    with pytest.raises(FileNotFoundError, match=r"'missing\.txt' is neither .*the names are stories, tiny"):
        load("missing.txt")
    with pytest.raises(IsADirectoryError, match="is a folder; give the path of one text file"):
        load(tmp_path)


def test_a_name_wins_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("stories").write_text("words " * 100)
    assert load("stories", characters=100).name == "stories"
    assert load("./stories").train.startswith("words ")
