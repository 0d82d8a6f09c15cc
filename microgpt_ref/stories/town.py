"""TOWN, the vocabulary of the course's stories: a small harbour town."""

from __future__ import annotations

from microgpt_ref.stories.vocabulary import Vocabulary

SHE = (
    "Ada",
    "Cora",
    "Edda",
    "Greta",
    "Ines",
    "Lena",
    "Mara",
    "Nell",
    "Olive",
    "Pia",
    "Rosa",
    "Tess",
    "Vera",
    "Yara",
)
HE = (
    "Abel",
    "Ben",
    "Dan",
    "Emil",
    "Finn",
    "Hugo",
    "Jonas",
    "Kit",
    "Luca",
    "Milo",
    "Nils",
    "Piet",
    "Sam",
    "Will",
)

OBJECTS = """
lantern: a brass, an old, a small, a rusty
kite: a red, a torn, a paper, a yellow
basket: a wicker, a round, a deep, a new
key: an iron, a rusty, a tiny, a golden
map: a torn, a faded, an old, a folded
whistle: a tin, a silver, a small, a loud
compass: a brass, a pocket, a heavy, a fine
drum: a toy, a painted, a small, a loud
kettle: a copper, a black, a dented, a large
flute: a wooden, a silver, an old, a thin
oar: a broken, a long, a painted, a spare
coat: a warm, a blue, a heavy, a patched
scarf: a striped, a woollen, a long, a green
jar: a glass, a clay, a green, an empty
book: a thick, a red, a dusty, a borrowed
shell: a pink, a white, a large, a smooth
coin: a gold, a silver, an old, a bent
ring: a silver, a thin, a plain, a gold
clock: a wooden, a little, a broken, a round
mirror: a small, a clear, a round, a silver
hammer: a heavy, a small, an iron, a good
bucket: a tin, a red, a leaky, a wooden
flag: a striped, a torn, a yellow, a faded
sack: a heavy, a dusty, a patched, an empty
teapot: a blue, a china, a white, a round
fiddle: an old, a fine, a brown, a cheap
hat: a straw, a tall, a grey, a woollen
spoon: a silver, a wooden, a bent, a long
"""

PLACES = """
at the mill, in the chapel, on the pier, on the bridge, by the well, by the inn, in the cellar, on the
beach, at the market, in the bakery, by the tower, on the quay, in the garden, at the ferry, by the
canal, at the forge, at the school, in the attic, by the pond, on the hill, in the barn, at the stable,
by the statue, in the shop
"""

TASKS = """
mend the net: mended, paint the fence: painted, feed the hens: fed, sweep the steps: swept, light the
stove: lit, bake the bread: baked, buy the salt: bought, carry the water: carried, post the letter:
posted, scrub the deck: scrubbed, chop the wood: chopped, wash the sails: washed, close the gate: closed,
milk the goat: milked, cook the soup: cooked, mop the floor: mopped, pick the plums: picked, dry the
fish: dried, fix the pump: fixed, clean the boots: cleaned, water the beans: watered, coil the ropes:
coiled, stack the logs: stacked, oil the hinges: oiled
"""


def _pairs(text: str) -> list[tuple[str, str]]:
    entries = [entry.strip() for entry in text.replace("\n", " ").split(",") if entry.strip()]
    return [(first, second.strip()) for first, _, second in (entry.partition(":") for entry in entries)]


def _objects(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    lines = [line.partition(":") for line in text.strip().splitlines()]
    return tuple((noun, tuple(adjective.strip() for adjective in rest.split(","))) for noun, _, rest in lines)


def _place(text: str) -> tuple[str, str]:
    preposition, _, noun = text.partition(" the ")
    return preposition, noun


TOWN = Vocabulary(
    names=tuple((name, "she") for name in SHE) + tuple((name, "he") for name in HE),
    objects=_objects(OBJECTS),
    places=tuple(_place(place) for place, _ in _pairs(PLACES)),
    tasks=tuple((base, f"{past} {base.partition(' ')[2]}") for base, past in _pairs(TASKS)),
    deadlines=("before dark", "by sunset", "by nightfall", "by six", "by bedtime", "before tea", "by noon"),
    weathers=(
        *("foggy", "windy", "cold", "bright", "grey", "stormy", "calm", "snowy", "sunny", "warm"),
        *("wet", "quiet", "misty", "mild", "rainy", "frosty", "hazy", "still", "chilly", "fine"),
    ),
    times=("morning", "day", "Monday", "Friday", "Sunday"),
    stays=("waited", "sat", "stood", "rested", "was"),
    idles=(
        "hummed a tune",
        "ate a plum",
        "told a joke",
        "fed the gulls",
        "yawned",
        "watched the sea",
        "laughed",
    ),
    interludes=(
        *("A gull cried", "The wind turned", "A boat came in", "Far off a bell rang", "A dog barked"),
        *("The tide crept in", "A door slammed", "Waves slapped the wall", "The clock struck"),
    ),
    openers=("Then ", "Later ", "Soon ", "Next "),
    openings=(
        "One {weather} {time} {newcomer} {stay} {scene} with {thing}.",
        "It was a {weather} {time}. {newcomer} {stay} {scene} with {thing}.",
        "On a {weather} {time} {newcomer} {stay} {scene} with {thing}.",
        "It was {weather} that {time}. {newcomer} {stay} {scene} with {thing}.",
        "{newcomer} {stay} {scene} one {weather} {time} with {thing}.",
    ),
    meetings=(
        "{newcomer} came along with {thing}.",
        "There {friend.she} met {newcomer}, who had {thing}.",
        "{friend.Her} friend {newcomer} had {thing}.",
        "Nearby stood {newcomer} with {thing}.",
    ),
    joinings=("Soon {newcomer} came too.", "Then {newcomer} joined them.", "{newcomer} watched them."),
    promises=(
        '"I will {task} {deadline}," {promiser} told {promisee}.',
        "{promiser} promised {promisee} to {task} {deadline}.",
        '"Please {task} {deadline}," said {promisee}. {promiser} promised.',
        "{promisee} asked {promiser} to {task} {deadline}, and {promiser.she} promised.",
    ),
    gives=(
        "gave the {object} to {other}.",
        "handed {other} the {object}.",
        "passed the {object} to {other}.",
        "gave {other} the {object}.",
    ),
    leaves=(
        "left the {object} {place}.",
        "hid the {object} {place}.",
        "put the {object} {place}.",
    ),
    fetches=("fetched the {object} from the {place.noun}.", "ran to the {place.noun} and got the {object}."),
    finds=("found the {object} {place}.", "went to the {place.noun} and found the {object}."),
    swaps=("swapped the {object} for {other}'s {second}.", "traded {other} the {object} for the {second}."),
    borrows=(
        "borrowed the {object} from {other}.",
        "got the {object} from {other}.",
        "took the {object} from {other}.",
    ),
    questions_held=(
        '"Who has the {object}?" asked {asker}. "{holder.I}do," said {holder}.',
        '"Where is the {object}?" asked {asker}. "{holder.I}have it," said {holder}.',
    ),
    questions_told=(
        '"Who has the {object}?" asked {asker}. "{holder.answer} does," said {reply}.',
        '"Where is the {object}?" asked {asker}. "{holder.answer} has it," said {reply}.',
    ),
    questions_placed=('"Where is the {object}?" asked {asker}. "{place.answer}," said {reply}.',),
    keeps=("kept {actor.her} word and {task.past}.", "{task.past} {deadline}, as promised."),
    breaks=("broke {actor.her} word and did not {task}.", "forgot to {task}, and {promisee} was cross."),
    late_keeps=(
        "{deadline.Text} {promiser} had {task.past}.",
        "True to {promiser.her} word, {promiser} {task.past} {deadline}.",
        "In good time {promiser} {task.past}, and {promisee} smiled.",
    ),
    late_breaks=(
        "{deadline.Text} {promiser} still had not {task.past}.",
        "But {promiser} forgot to {task}, and {promisee} was sad.",
        "Sadly, {promiser} never {task.past}.",
    ),
    closings=("That night ", "In the end ", "At bedtime ", "So at last "),
    closing_one=("the {first} was {spot}.", "the {first} stayed {spot}."),
    closing_two=("the {first} was {spot} and the {second} {other_spot}.",),
    closing_holder=("{holder} had the {first}.",),
    closing_holders=("{holder} had the {first} and {other} had the {second}.",),
    closing_both=("{holder} had both the {first} and the {second}.",),
    closing_mixed=("{holder} had the {first} and the {second} was {other_spot}.",),
    beats=(1, 3),
)
