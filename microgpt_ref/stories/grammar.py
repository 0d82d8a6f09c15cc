"""What can happen in a story: the sentences that lead from one state to the next."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

from microgpt_ref.stories.hot import no_type_check
from microgpt_ref.stories.nodes import Node, Ref, Sentence, build
from microgpt_ref.stories.state import END, NOBODY, State, person, thing
from microgpt_ref.stories.vocabulary import Vocabulary


@no_type_check
class Grammar:
    """The stories of one vocabulary. `node(state)` is the trie of everything that may be said in a state."""

    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self._nodes: dict[State, Node] = {}
        self._phases = {
            "opening": self.opening,
            "meeting": self.meeting,
            "joining": self.joining,
            "promise": self.promise,
            "begin": self.begin,
            "act": self.act,
            "closing": self.closing,
        }

    def node(self, state: State) -> Node:
        if state not in self._nodes:
            self._nodes[state] = build(self.words, self._phases[state.phase](state))
        return self._nodes[state]

    # ---------------------------------------------------------------- the beginning

    def opening(self, state: State) -> Iterator[Sentence]:
        after = State("meeting", people=1, places=1, where=(person(0),), before=(NOBODY,))
        for template in self.words.openings:
            yield Sentence(template, {}, 1, after)

    def meeting(self, state: State) -> Iterator[Sentence]:
        after = state._replace(
            phase="joining", people=2, where=(person(0), person(1)), before=(NOBODY, NOBODY)
        )
        for template in self.words.meetings:
            yield Sentence(" " + template, {"friend": person(0)}, 1, after)

    def joining(self, state: State) -> Iterator[Sentence]:
        """A third person comes, or the promise is made."""
        for template in self.words.joinings:
            yield Sentence(" " + template, {}, 2, state._replace(phase="promise", people=3, paused=True))
        yield from self.promise(state)

    def promise(self, state: State) -> Iterator[Sentence]:
        for promiser, promisee in itertools.permutations(range(state.people), 2):
            slots = {"promiser": person(promiser), "promisee": person(promisee)}
            after = state._replace(phase="begin", promiser=promiser, promisee=promisee)
            for template in self.words.promises:
                yield Sentence(" " + template, slots, 1, after)

    # ---------------------------------------------------------------- what happens

    def begin(self, state: State) -> Iterator[Sentence]:
        """The next thing that happens begins: someone acts, someone asks, or the promise falls due."""
        if self._resolvable(state):
            yield from self._late(state)
        for actor in range(state.people):
            now = state._replace(phase="act", actor=actor, topic=NOBODY)
            if any(True for _ in self.act(now)):
                yield from self._name(state, actor, now)
        if self._busy(state):
            yield from self._pause(state)
            yield from self._question(state)

    def _busy(self, state: State) -> bool:
        return state.beats < self.words.beats[1]

    def _resolvable(self, state: State) -> bool:
        return state.beats >= self.words.beats[0]

    def _name(self, state: State, actor: int, now: State) -> Iterator[Sentence]:
        slots = {"actor": person(actor)}
        forms = ("She", "she") if actor == state.topic else ("name", "name")
        yield Sentence(f" {{actor.{forms[0]}}}", slots, 12, now)
        for opener in self.words.openers:
            yield Sentence(f" {opener}{{actor.{forms[1]}}}", slots, 2, now)

    def _pause(self, state: State) -> Iterator[Sentence]:
        if self.words.interludes and not state.paused and state.beats:
            yield Sentence(" {interlude}.", {}, 6, state._replace(paused=True, topic=NOBODY, moved=()))

    def _question(self, state: State) -> Iterator[Sentence]:
        """Somebody asks after an object that did not just move; whoever parted with it last need not ask."""
        if state.asked or not state.beats:
            return
        for object_, spot in enumerate(state.where):
            if object_ in state.moved:
                continue
            after = self._happened(state._replace(asked=True, moved=()))
            for asker in range(state.people):
                if asker not in (state.holder(object_), state.before[object_]):
                    yield from self._answers(state.people, object_, spot, asker, after)

    def _answers(self, people: int, object_: int, spot: Ref, asker: int, after: State) -> Iterator[Sentence]:
        slots = {"object": thing(object_), "asker": person(asker)}
        for reply in range(people):
            slots = {**slots, "reply": person(reply)}
            if reply == asker:
                continue
            if spot.kind == "place":
                templates = self.words.questions_placed
                slots["place"] = spot
            else:
                templates = self.words.questions_held if reply == spot.role else self.words.questions_told
                slots["holder"] = spot
            for template in templates:
                yield Sentence(" " + template, slots, 24 // len(templates), after)

    # ---------------------------------------------------------------- somebody does something

    def act(self, state: State) -> Iterator[Sentence]:
        """What the one who was just named does."""
        kinds: list[tuple[int, list[Sentence]]] = []
        if self._busy(state):
            kinds += [
                (4, list(self._hand_over(state))),
                (4, list(self._leave(state))),
                (4, list(self._fetch(state))),
            ]
            kinds += [
                (2, list(self._swap(state))),
                (3, list(self._borrow(state))),
                (2, list(self._idle(state))),
            ]
        if self._resolvable(state) and state.actor == state.promiser:
            slots = self._promise_slots(state)
            for templates, kept in ((self.words.keeps, True), (self.words.breaks, False)):
                kinds.append(
                    (6, [Sentence(" " + each, slots, 1, self._settled(state, kept)) for each in templates])
                )
        for weight, sentences in kinds:
            for each in sentences:  # a kind's weight is shared among the ways to say it
                yield each._replace(weight=weight * 27720 // len(sentences))

    def _happened(self, state: State, topic: int = NOBODY) -> State:
        """The state after a beat. When nothing more can happen, what only mattered to that is let go."""
        after = state._replace(phase="begin", actor=NOBODY, topic=topic, beats=state.beats + 1)
        if self._busy(after):
            return after
        topic = topic if topic == after.promiser else NOBODY
        return after._replace(
            topic=topic, moved=(), before=(NOBODY, NOBODY), asked=False, paused=False, places=1
        )

    def _movable(self, state: State) -> Iterator[tuple[int, Ref]]:
        """Objects that did not just move, with where they are."""
        return ((o, spot) for o, spot in enumerate(state.where) if o not in state.moved)

    def _hand_over(self, state: State) -> Iterator[Sentence]:
        for object_, spot in self._movable(state):
            if spot != person(state.actor):
                continue
            for other in range(state.people):
                if other in (state.actor, state.before[object_]):
                    continue
                after = self._happened(state._replace(moved=()).move(object_, person(other)))
                slots = {"actor": person(state.actor), "object": thing(object_), "other": person(other)}
                for template in self.words.gives:
                    yield Sentence(" " + template, slots, 1, after)

    def _leave(self, state: State) -> Iterator[Sentence]:
        for object_, spot in self._movable(state):
            if spot == person(state.actor):
                moved = state._replace(moved=(), places=state.places + 1).move(
                    object_, Ref("place", state.places)
                )
                for template in self.words.leaves:
                    slots = {"actor": person(state.actor), "object": thing(object_)}
                    yield Sentence(" " + template, slots, 1, self._happened(moved, state.actor))

    def _fetch(self, state: State) -> Iterator[Sentence]:
        for object_, spot in self._movable(state):
            if spot.kind == "place":
                slots = {"actor": person(state.actor), "object": thing(object_), "place": spot}
                after = self._happened(
                    state._replace(moved=()).move(object_, person(state.actor)), state.actor
                )
                for template in (
                    self.words.fetches if state.before[object_] == state.actor else self.words.finds
                ):
                    yield Sentence(" " + template, slots, 1, after)

    def _swap(self, state: State) -> Iterator[Sentence]:
        """Both objects move, so nothing is left to move next: only where the story may go on to its end."""
        mine, yours = state.where
        if state.beats + 1 < self.words.beats[0] or "place" in (mine.kind, yours.kind) or mine == yours:
            return
        for object_, second in ((0, 1), (1, 0)):
            actor, other = state.where[object_].role, state.where[second].role
            if actor == state.actor and state.before[object_] != other and state.before[second] != actor:
                after = state._replace(moved=()).move(object_, person(other)).move(second, person(actor))
                slots = {"object": thing(object_), "second": thing(second), "other": person(other)}
                for template in self.words.swaps:
                    yield Sentence(" " + template, slots, 1, self._happened(after))

    def _borrow(self, state: State) -> Iterator[Sentence]:
        for object_, spot in self._movable(state):
            if spot.kind == "person" and state.actor not in (spot.role, state.before[object_]):
                after = self._happened(state._replace(moved=()).move(object_, person(state.actor)))
                slots = {"actor": person(state.actor), "object": thing(object_), "other": spot}
                for template in self.words.borrows:
                    yield Sentence(" " + template, slots, 1, after)

    def _idle(self, state: State) -> Iterator[Sentence]:
        if self.words.idles and not state.paused and state.beats:
            after = state._replace(phase="begin", actor=NOBODY, topic=state.actor, paused=True, moved=())
            yield Sentence(" {idle}.", {}, 1, after)

    # ---------------------------------------------------------------- the end

    def _promise_slots(self, state: State) -> dict[str, Ref]:
        promised = {"task": Ref("task", 0), "deadline": Ref("deadline", 0)}
        who = {"promiser": state.promiser, "promisee": state.promisee, "actor": state.actor}
        return {**promised, **{slot: person(role) for slot, role in who.items() if role != NOBODY}}

    def _settled(self, state: State, kept: bool) -> State:
        """Of all that happened, the closing line needs to know only where things are."""
        return State("closing", where=state.where, kept=kept)

    def _late(self, state: State) -> Iterator[Sentence]:
        """The promise is kept or broken, in a sentence that does not begin with whoever made it."""
        slots = self._promise_slots(state._replace(actor=NOBODY))
        for templates, kept in ((self.words.late_keeps, True), (self.words.late_breaks, False)):
            for template in templates:
                weight = 5 * max(state.beats, 1) ** 2  # the longer the story, the likelier its end
                yield Sentence(" " + template, slots, weight, self._settled(state, kept))

    def closing(self, state: State) -> Iterator[Sentence]:
        """The last line says who ended with what."""
        for template, slots, weight in self._endings(state):
            for closing in self.words.closings:
                opening = " " + closing + template + "\n"
                yield Sentence(opening, {**slots, "scene": Ref("place", 0)}, weight, END)

    def _endings(self, state: State) -> Iterator[tuple[str, dict[str, Ref], int]]:
        for first, second in ((0, 1), (1, 0)):
            spot, other_spot = state.where[first], state.where[second]
            slots = {"first": thing(first), "second": thing(second), "spot": spot, "other_spot": other_spot}
            templates = [(self.words.closing_one, 1)]
            if spot != other_spot:
                templates += [(self.words.closing_two, 3)]
            if spot.kind == "person":
                slots["holder"], slots["other"] = spot, other_spot
                templates += [(self.words.closing_holder, 1)]
                if other_spot.kind == "place":
                    templates += [(self.words.closing_mixed, 3)]
                else:
                    templates += [
                        (self.words.closing_both if spot == other_spot else self.words.closing_holders, 3)
                    ]
            for words, weight in templates:
                for template in words:
                    yield template, slots, weight


@functools.cache
def grammar(words: Vocabulary) -> Grammar:
    """The grammar of a vocabulary, with its tries kept for the whole process."""
    return Grammar(words)
