"""The state of a story between two sentences.

A state knows roles, not words: "the second person holds the first object". Everything in it can be read off
the text so far, so nothing is hidden from a reader.
"""

from __future__ import annotations

from typing import NamedTuple

from microgpt_ref.stories.hot import no_type_check
from microgpt_ref.stories.nodes import Ref

NOBODY = -1


@no_type_check
class State(NamedTuple):
    """A story between two sentences; people, objects and places are roles, counted from 0 as they appear.

    where: for each object, who has it or where it lies; before: who had it before that, or NOBODY;
    promiser, promisee: of the promise; actor: the person just named, who will now do something;
    topic: the person whom "she" or "he" would mean; moved: the objects that the last beat moved;
    beats: how many things have happened; asked: somebody asked a question; paused: the story took a rest;
    kept: the promise was.
    """

    phase: str = "opening"
    people: int = 0
    places: int = 0
    where: tuple[Ref, ...] = ()
    before: tuple[int, ...] = ()
    promiser: int = NOBODY
    promisee: int = NOBODY
    actor: int = NOBODY
    topic: int = NOBODY
    moved: tuple[int, ...] = ()
    beats: int = 0
    asked: bool = False
    paused: bool = False
    kept: bool = False

    def holder(self, thing: int) -> int:
        return self.where[thing].role if self.where[thing].kind == "person" else NOBODY

    def move(self, thing: int, to: Ref) -> State:
        """The object changes hands or place."""
        leaver = self.holder(thing)
        before = leaver if leaver != NOBODY else self.before[thing]
        return self._replace(
            where=(*self.where[:thing], to, *self.where[thing + 1 :]),
            before=(*self.before[:thing], before, *self.before[thing + 1 :]),
            moved=(*self.moved, thing),
        )


END = State("end")
START = State()


@no_type_check
def person(role: int) -> Ref:
    return Ref("person", role)


@no_type_check
def thing(role: int) -> Ref:
    return Ref("object", role)
