"""Settings, stop sequences and text that comes piece by piece: what the frameworks share."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgpt_ref import sampling
from microgpt_ref.sampling import Sampling, Stopping, decode_stream, stop_text
from tests.frameworks.seeding import Bug, seeded


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"temperature": -0.5}, "temperature=-0.5 is negative; use 0"),
        ({"temperature": math.nan}, "temperature=nan is negative"),
        ({"top_k": 0}, "top_k=0 keeps nothing"),
        ({"top_p": 0.0}, r"top_p=0.0 is outside \(0, 1\]"),
        ({"top_p": 1.5}, r"top_p=1.5 is outside \(0, 1\]"),
        ({"min_p": -0.1}, r"min_p=-0.1 is outside \[0, 1\]"),
        ({"min_p": 2.0}, r"min_p=2.0 is outside \[0, 1\]"),
        ({"repetition_penalty": 0.0}, "repetition_penalty=0.0 is not positive"),
    ],
)
def test_settings_that_cannot_be_meant(setting: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Sampling(**setting)  # type: ignore[arg-type]


def test_the_borders_can_be_meant() -> None:
    Sampling(temperature=0, top_k=1, top_p=1.0, min_p=0.0, repetition_penalty=0.5)


def test_every_setting_says_what_it_does() -> None:
    import tyro

    with pytest.raises(SystemExit):
        tyro.cli(Sampling, args=["--help"])


def stopped_at(stop: list[int | list[int]], tokens: list[int]) -> int | None:
    """The number of tokens after which the only row has stopped."""
    stopping = Stopping(stop, rows=1)
    for count, token in enumerate(tokens, 1):
        stopping.add([token])
        if stopping.stopped == [True]:
            return count
    return None


@given(
    st.lists(st.integers(0, 2), max_size=20),
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), max_size=3),
)
def test_a_row_stops_where_its_text_first_ends_in_a_sequence(
    tokens: list[int], stop: list[list[int]]
) -> None:
    ends = (
        n for n in range(1, len(tokens) + 1) if any(tokens[:n][-len(s) :] == s for s in stop if len(s) <= n)
    )
    assert stopped_at(list(stop), tokens) == next(ends, None)


def test_a_single_id_is_a_sequence_of_one() -> None:
    assert stopped_at([7], [1, 2, 7, 3]) == 3


def test_rows_stop_on_their_own() -> None:
    stopping = Stopping([[1, 2]], rows=2)
    for tokens in ([1, 1], [2, 1]):
        stopping.add(tokens)
    assert stopping.stopped == [True, False]
    stopping.add([5, 2])
    assert stopping.stopped == [True, True]


def test_an_empty_sequence_says_so() -> None:
    with pytest.raises(ValueError, match="stop holds an empty sequence"):
        Stopping([[]], rows=1)
    with pytest.raises(ValueError, match="stop holds an empty string"):
        list(stop_text(["a"], [""]))


def cut(text: str, places: tuple[int, ...]) -> list[str]:
    return [text[a:b] for a, b in itertools.pairwise((0, *sorted(places), len(text)))]


def check_stop_text() -> None:
    """A stop string of up to four characters, however the text is cut into pieces."""
    text, stop = "the cat sat on the mat. The end", ["mat.", "sad", "at m"]
    for places in itertools.combinations(range(len(text)), 2):
        assert "".join(stop_text(cut(text, places), stop)) == "the cat sat on the "


def test_stop_strings_across_the_borders_of_pieces() -> None:
    check_stop_text()


@given(st.lists(st.text("ab", max_size=5)), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_it_stops_before_the_string_that_is_whole_first(pieces: list[str], stop: list[str]) -> None:
    text = "".join(pieces)
    ends = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    first = min(end for end, _ in ends) if ends else 0
    expected = text[: min(start for end, start in ends if end == first)] if ends else text
    assert "".join(stop_text(pieces, stop)) == expected
    assert "".join(stop_text(text, stop)) == expected


def test_nothing_waits_longer_than_it_must() -> None:
    """The text so far is held back only as far as it could be the beginning of a stop string."""
    pieces = iter(["Hello", " wor", "ld\n", "User", "s"])
    shown = stop_text(pieces, ["\nUser:"])
    assert [next(shown) for _ in range(4)] == ["Hello", " wor", "ld", "\nUsers"]


def test_without_stop_strings_the_pieces_pass() -> None:
    assert list(stop_text(["a", "", "bc"], [])) == ["a", "bc"]


class Bytes:
    """A tokenizer whose tokens are the bytes of UTF-8."""

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", errors="replace")


def test_a_character_of_several_tokens_waits_until_it_is_whole() -> None:
    pieces = list(decode_stream(Bytes(), "aé–z".encode()))  # type: ignore[arg-type]
    assert pieces == ["a", "é", "–", "z"]
    assert list(decode_stream(Bytes(), "é".encode()[:1])) == ["\ufffd"]  # type: ignore[arg-type]


BUGS = [
    Bug("stop string noticed only within one piece", sampling.stop_text,
        "waiting += piece", "waiting = piece", check_stop_text),
    Bug("what could be a stop string is shown at once", sampling._longest_beginning,
        "range(longest, 0, -1)", "range(0)", check_stop_text),
    Bug("one letter too few waits", sampling._longest_beginning,
        "max(map(len, stop), default=1) - 1", "max(map(len, stop), default=1) - 2", check_stop_text),
]  # fmt: skip


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_mistakes_are_noticed(bug: Bug) -> None:
    with seeded(bug), pytest.raises(AssertionError):
        bug.notices()
