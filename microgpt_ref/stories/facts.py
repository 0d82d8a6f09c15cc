"""What a story says, as a program can use it."""

from __future__ import annotations

from typing import NamedTuple

from microgpt_ref.stories.hot import no_type_check
from microgpt_ref.stories.nodes import Cast
from microgpt_ref.stories.reading import whole_stories
from microgpt_ref.stories.state import State
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary


class Facts(NamedTuple):
    """What a story says, in its own words.

    people, objects: in the order they appear; owners: who had each object at first; where: for each object at
    the end, ("person", "Mara") or ("place", "at the mill"); scene: where the story began; task: what was
    promised ("mend the net") and done: its past ("mended the net"); kept: whether the promise was;
    pronouns: each person's, "she" or "he".
    """

    people: tuple[str, ...]
    objects: tuple[str, ...]
    owners: dict[str, str]
    where: dict[str, tuple[str, str]]
    scene: str
    promiser: str
    promisee: str
    task: str
    done: str
    deadline: str
    kept: bool
    pronouns: dict[str, str]


def facts(story: str, vocabulary: Vocabulary = TOWN) -> Facts:
    """What one whole story says. Raises ValueError where the text is not one story."""
    if story.count("\n") > 1:
        raise ValueError(
            f"facts are those of one story, and the text has {story.count(chr(10))}; give one line"
        )
    last = None
    states: dict[str, State] = {}  # the first state of each phase
    for last in whole_stories(story, vocabulary):
        states.setdefault(last.walk.state.phase, last.walk.state)
    assert last is not None
    return _facts(last.walk.cast, states["begin"], states["closing"], vocabulary)


@no_type_check
def _facts(cast: Cast, begin: State, closing: State, words: Vocabulary) -> Facts:
    def say(kind: str, role: int, form: str) -> str:
        return words.items[kind][cast[kind][role]][form][0]

    people = tuple(say("person", role, "name") for role in range(begin.people))
    objects = tuple(say("object", role, "noun") for role in range(len(closing.where)))
    spots = [(spot.kind, say(*spot, "name" if spot.kind == "person" else "where")) for spot in closing.where]
    return Facts(
        people=people,
        objects=objects,
        owners=dict(zip(objects, people, strict=False)),  # the first two people come with an object each
        where=dict(zip(objects, spots, strict=True)),
        scene=say("place", 0, "where"),
        promiser=people[begin.promiser],
        promisee=people[begin.promisee],
        task=say("task", 0, "base"),
        done=say("task", 0, "past"),
        deadline=say("deadline", 0, "text"),
        kept=closing.kept,
        pronouns={name: say("person", role, "she") for role, name in enumerate(people)},
    )
