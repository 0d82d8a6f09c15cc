"""The characters of the town."""

from __future__ import annotations

import dataclasses
import re

from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary

# What questions and their answers add to the stories' own words, capitals of sentence starts included.
ASKING = (
    "Who has the at first? Where is did story begin? What promise to do? Did Yes, No, not made a began The"
)


def alphabet(words: Vocabulary) -> str:
    """Every character that a story, a question or an answer of this vocabulary can contain, sorted."""
    characters = set("\n" + ASKING)
    for kind in words.items.values():
        characters.update(*(text for item in kind for forms in item.values() for text in forms))
    for each in dataclasses.fields(words):
        for template in getattr(words, each.name):
            if isinstance(template, str):
                characters.update(re.sub(r"\{[^}]*\}", "", template))
    return "".join(sorted(characters))


ALPHABET = alphabet(TOWN)
