"""The words of the town, and the sentences its stories are made of.

A template is a sentence with slots. `{actor}` is a person, `{actor.her}` the matching pronoun, `{place.noun}`
the bare noun of a place. What a slot may hold is decided by the state of the story (`grammar.py`).
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field

from microgpt_ref.stories.choices import Candidates
from microgpt_ref.stories.hot import no_type_check

Words = tuple[str, ...]
PRONOUNS = {"she": ("she", "her", "She", "Her"), "he": ("he", "his", "He", "His")}
# "with Mara" or "at the mill"; "I do", "Mara does" or "At the mill"
SHARED = (
    (("person", "spot"), ("place", "spot")),
    (("person", "I"), ("person", "answer"), ("place", "answer")),
)


@dataclass(frozen=True)
class Vocabulary:
    """Everything a story can say. Each list is drawn from uniformly, without putting back.

    names: (name, "she" or "he"); places: (preposition, noun); objects: (noun, adjectives with their article),
    each with the same number of adjectives; tasks: (base form, past form, which is also the participle);
    the rest are words and templates, each list for one kind of sentence.
    `beats` is the least and the largest number of things that happen between the promise and its end.
    Raises ValueError for an empty or uneven list.
    """

    names: tuple[tuple[str, str], ...]
    objects: tuple[tuple[str, Words], ...]
    places: tuple[tuple[str, str], ...]
    tasks: tuple[tuple[str, str], ...]
    deadlines: Words
    weathers: Words
    times: Words
    stays: Words
    idles: Words
    interludes: Words
    openers: Words
    openings: Words
    meetings: Words
    joinings: Words
    promises: Words
    gives: Words
    leaves: Words
    fetches: Words
    finds: Words
    swaps: Words
    borrows: Words
    questions_held: Words
    questions_told: Words
    questions_placed: Words
    keeps: Words
    breaks: Words
    late_keeps: Words
    late_breaks: Words
    closings: Words
    closing_one: Words
    closing_two: Words
    closing_holder: Words
    closing_holders: Words
    closing_both: Words
    closing_mixed: Words
    beats: tuple[int, int]
    items: dict[str, tuple[dict[str, Words], ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        least, most = self.beats
        if not 1 <= least <= most:
            raise ValueError(f"beats={self.beats} is not a pair 1 <= least <= most; use for instance (1, 3)")
        if len({len(adjectives) for _, adjectives in self.objects}) > 1:
            raise ValueError("objects have different numbers of adjectives; give each as many as the others")
        needed = {"names": 3 if self.joinings else 2, "objects": 2, "places": 1 + most}
        needed |= dict.fromkeys(("tasks", "deadlines", "weathers", "times", "stays"), 1)
        for name, number in needed.items():
            if len(getattr(self, name)) < number:
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} entries; stories need at least {number}"
                )
        object.__setattr__(self, "items", _items(self))

    @functools.cached_property
    def _hash(self) -> int:
        fields = dataclasses.fields(self)
        return hash(tuple(getattr(self, each.name) for each in fields if each.compare))

    @no_type_check
    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _candidates(self) -> dict[tuple[str, str], Candidates]:
        """For each kind and form, all that could stand in such a slot; slots that compete share theirs."""
        found: dict[tuple[str, str], Candidates] = {}
        for group in SHARED:
            shared = Candidates(tuple(text for kind, form in group for text in self._forms(kind, form)))
            found.update(dict.fromkeys(group, shared))
        for kind, items in self.items.items():
            for form in items[0] if items else ():
                found.setdefault((kind, form), Candidates(self._forms(kind, form)))
        return found

    @no_type_check
    def _forms(self, kind: str, form: str) -> Words:
        return tuple(text for item in self.items[kind] for text in item[form])

    @no_type_check
    def candidates(self, kind: str, form: str) -> Candidates:
        """Every text that could stand in a slot of this kind, whatever the story said before."""
        return self._candidates[kind, form]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _items(words: Vocabulary) -> dict[str, tuple[dict[str, Words], ...]]:
    """Each kind's items with their forms. A form is a tuple: a thing enters with one of its adjectives."""
    people: list[dict[str, Words]] = []
    for name, pronoun in words.names:
        she, her, capital_she, capital_her = PRONOUNS[pronoun]
        forms = {"name": name, "she": she, "her": her, "She": capital_she, "Her": capital_her}
        forms |= {"spot": f"with {name}", "I": "I ", "answer": name}
        people.append({form: (text,) for form, text in forms.items()})
    things = [
        {"noun": (noun,), "thing": tuple(f"{a} {noun}" for a in adjectives)}
        for noun, adjectives in words.objects
    ]
    places: list[dict[str, Words]] = []
    for preposition, noun in words.places:
        where = f"{preposition} the {noun}"
        places.append({"where": (where,), "answer": (_capital(where),), "spot": (where,), "noun": (noun,)})
    return {
        "person": tuple(people),
        "object": tuple(things),
        "place": tuple(places),
        "task": tuple({"base": (base,), "past": (past,)} for base, past in words.tasks),
        "deadline": tuple({"text": (text,), "Text": (_capital(text),)} for text in words.deadlines),
        **{
            kind: tuple({"text": (text,)} for text in getattr(words, kind + "s"))
            for kind in ("weather", "time", "stay", "idle", "interlude")
        },
    }
