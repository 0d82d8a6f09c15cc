"""Results come from the checkout, or else from the course's repository, once."""

import json

import pytest

from book.tools.repository import configured
from microgpt_ref import measured
from microgpt_ref.datasets import DownloadError


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package without a checkout around it; yields the requests, and what the server answers."""
    import pooch

    answers, asked = {}, []

    def download(self, url, part, pup):
        asked.append(url)
        if url not in answers:
            import requests

            raise requests.ConnectionError("no network")
        part.write(answers[url])

    monkeypatch.setattr(measured, "RESULTS", tmp_path / "nowhere")
    monkeypatch.setenv("MICROGPT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", download)
    return answers, asked


def test_a_checkout_is_read_where_it_lies():
    for path in measured.RESULTS.glob("*.json"):
        assert measured.load(path.stem) == json.loads(path.read_text(encoding="utf-8"))
    assert measured.load("speedrun")["command"] == "python -m benchmarks.speedrun"


def test_what_a_checkout_lacks_was_not_measured():
    with pytest.raises(FileNotFoundError, match=r"name='no_such_thing' was not measured.*speedrun"):
        measured.load("no_such_thing")


@pytest.mark.parametrize("name", ["", "../secret", "Speedrun", "speedrun.json"])
def test_a_name_is_a_word(name):
    with pytest.raises(ValueError, match="is not a benchmark's name"):
        measured.load(name)


def test_elsewhere_it_is_downloaded_once(installed, tmp_path):
    answers, asked = installed
    answers[measured.address("speedrun")] = b'{"runs": [1, 2]}'
    assert measured.load("speedrun") == {"runs": [1, 2]}
    assert measured.load("speedrun") == {"runs": [1, 2]}
    assert len(asked) == 1
    assert [path.name for path in (tmp_path / "data" / "results").iterdir()] == ["speedrun.json"]


def test_without_a_network_one_error_says_what_to_do(installed):
    with pytest.raises(DownloadError, match=r"speedrun\.json could not be downloaded from https://github"):
        measured.load("speedrun")


def test_half_an_answer_is_not_kept(installed, tmp_path):
    answers, _ = installed
    answers[measured.address("speedrun")] = b'{"runs": [1, '
    with pytest.raises(DownloadError, match="gave no JSON"):
        measured.load("speedrun")
    assert list((tmp_path / "data" / "results").iterdir()) == []


def test_the_address_is_the_one_that_the_repository_is_configured_with():
    here = configured()
    assert f"{here.url}@{here.branch}" == measured.REPOSITORY
    assert measured.address("speedrun").startswith(f"{here.url}/raw/{here.branch}/benchmarks/results/")
