"""The course's own text: little stories about a harbour town, told by a program of known probabilities.

The text of a story determines the choices that made it, so the ideal reader can be computed: it knows the
odds of every next character, and no model can have a lower loss on average. Three properties matter:

1. The floor is known: `entropy() / expected_length()` nats per character.
2. The loss splits: `categories(text)` says of each character whether it is spelling, grammar, a free choice,
   or recall, which only a reader who remembers the story gets right.
3. It can ask: `questions` and `preferences` have answers that a program can grade.

    >>> from microgpt_ref import stories
    >>> print(stories.generate(1)[0])
"""

from microgpt_ref.stories.alphabet import ALPHABET
from microgpt_ref.stories.choices import CATEGORIES
from microgpt_ref.stories.exact import (
    entropy,
    entropy_by_category,
    expected_categories,
    expected_length,
    number_of_stories,
    totals,
)
from microgpt_ref.stories.facts import Facts, facts
from microgpt_ref.stories.questions import (
    Preference,
    Question,
    follows,
    grade,
    preferences,
    questions,
    questions_about,
    quizzes,
    wrong_answers,
)
from microgpt_ref.stories.reading import (
    Inconsistency,
    categories,
    character_log_probabilities,
    consistent,
    first_inconsistency,
    log_probability,
    next_character_distribution,
    spans,
)
from microgpt_ref.stories.sampling import corpus, generate, split_of
from microgpt_ref.stories.town import TOWN
from microgpt_ref.stories.vocabulary import Vocabulary

__all__ = [
    "ALPHABET",
    "CATEGORIES",
    "TOWN",
    "Facts",
    "Inconsistency",
    "Preference",
    "Question",
    "Vocabulary",
    "categories",
    "character_log_probabilities",
    "consistent",
    "corpus",
    "entropy",
    "entropy_by_category",
    "expected_categories",
    "expected_length",
    "facts",
    "first_inconsistency",
    "follows",
    "generate",
    "grade",
    "log_probability",
    "next_character_distribution",
    "number_of_stories",
    "preferences",
    "questions",
    "questions_about",
    "quizzes",
    "spans",
    "split_of",
    "totals",
    "wrong_answers",
]
