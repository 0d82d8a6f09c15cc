"""Draw the book's two pictures as SVG: `python -m book.figures.draw` (part of `make figures`).

Inside a page the text takes the page's own colours; as a plain image, as in README, it falls back
to a grey that reads on white and on black. Sizes are for a phone: 360 units wide, type of 13 or more.
"""

from __future__ import annotations

import math
from pathlib import Path

from microgpt_ref.plots.style import BLUE, GREEN, GREY, ORANGE

FOLDER = Path(__file__).parent
WIDTH = 360
TEXT = "the lam"
ALPHABET = " abcdefghijklmnopqrstuvwxyz"
NEXT = {
    "p": 1.0,
    "b": 0.34,
    "e": 0.16,
    " ": 0.07,
}  # a sketch of a distribution: relative lengths, no measurement
# How much the last position looks at each earlier one.
LOOKS_BACK = {
    0: 0.2,
    1: 0.3,
    2: 0.5,
    3: 0.9,
    4: 1.0,
    5: 0.8,
}
DESCRIPTION = (
    "The path of a GPT, from top to bottom. The text 'the lam' is cut into seven characters with their "
    "numbers. Each number becomes a vector, a column of four cells. In a block that is repeated N times, "
    "attention lets the last position look back at all earlier ones, and a feed-forward network works on "
    "each position alone. At the end stand the probabilities of the next character; p has the longest bar. "
    "It is drawn, appended to the text, and the loop begins again."
)

STYLE = f"""
.ink {{ fill: var(--pst-color-text-base, {GREY}); }}
.mute {{ fill: var(--pst-color-text-muted, {GREY}); }}
.line {{ stroke: var(--pst-color-text-muted, {GREY}); fill: none; stroke-width: 1.5; }}
.head {{ font: 700 15px var(--course-font, system-ui, sans-serif); }}
.note {{ font: 400 13px var(--course-font, system-ui, sans-serif); }}
.mono {{ font: 600 18px var(--course-mono, ui-monospace, monospace); text-anchor: middle; }}
.small {{ font: 400 13px var(--course-mono, ui-monospace, monospace); text-anchor: middle; }}
"""


def column(index: int) -> float:
    """The middle of the column of one character."""
    return 46 + index * (268 / (len(TEXT) - 1))


def words(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{text}</text>'


def box(x: float, y: float, width: float, height: float, color: str, opacity: float = 0.0) -> str:
    corner = min(5, height / 6)
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{corner:.2g}" '
        f'stroke="{color}" stroke-width="1.5" fill="{color}" fill-opacity="{opacity:g}"/>'
    )


def arrow(x: float, y: float, length: float) -> str:
    return f'<path class="line" d="M{x:g} {y:g} v{length:g} m-4 -5 l4 5 l4 -5"/>'


def shown(character: str) -> str:
    return "␣" if character == " " else character


def heading(y: float, title: str, note: str) -> list[str]:
    return [words(26, y, title, "ink head"), words(26, y + 19, note, "mute note")]


def tokens(y: float) -> list[str]:
    parts = heading(y, "Text becomes numbers", "each character has one")
    for index, character in enumerate(TEXT):
        x = column(index)
        parts += [box(x - 17, y + 32, 34, 34, BLUE, 0.1), words(x, y + 55, shown(character), "ink mono")]
        parts.append(words(x, y + 84, str(ALPHABET.index(character)), "mute small"))
    return parts


def vectors(y: float) -> list[str]:
    parts = heading(y, "Numbers become vectors", "what it is, and where it stands")
    for index in range(len(TEXT)):
        for row in range(4):
            shade = 0.15 + 0.75 * (0.5 + 0.5 * math.sin(3.1 * index + 2.3 * row + index * row))
            parts.append(box(column(index) - 9, y + 32 + 14 * row, 18, 14, BLUE, round(shade, 2)))
    return parts


def block(y: float) -> list[str]:
    parts = [box(12, y, 328, 212, GREY), words(326, y + 24, "× N", "ink head")]
    parts[-1] = parts[-1].replace("<text", '<text text-anchor="end"')
    parts += heading(y + 24, "Attention", "every position looks back")
    last, floor = column(len(TEXT) - 1), y + 112
    for index, weight in LOOKS_BACK.items():
        x, y0 = column(index), floor - 6
        parts.append(
            f'<path d="M{last:g} {y0:g} Q{(x + last) / 2:g} {y0 - (last - x) * 0.24:g} {x:g} {y0:g}" '
            f'stroke="{ORANGE}" stroke-width="{1 + 3 * weight:g}" fill="none" stroke-linecap="round"/>'
        )
    for index in range(len(TEXT)):
        color = ORANGE if index == len(TEXT) - 1 else BLUE
        parts.append(f'<circle cx="{column(index):g}" cy="{floor:g}" r="6" fill="{color}"/>')
    parts += heading(y + 144, "Feed-forward", "each position works alone")
    for index in range(len(TEXT)):
        parts.append(box(column(index) - 13, y + 174, 26, 24, GREEN, 0.25))
        parts.append(words(column(index), y + 191, "ƒ", "ink small"))
    return parts


def probabilities(y: float) -> list[str]:
    parts = heading(y, "Vectors become probabilities", "of the next character; one is drawn")
    for row, (character, share) in enumerate(NEXT.items()):
        color = ORANGE if row == 0 else BLUE
        top = y + 32 + 24 * row
        parts += [
            words(40, top + 15, shown(character), "ink mono"),
            box(60, top, 170 * share, 18, color, 0.8),
        ]
    return parts


def loop(top: float, bottom: float) -> list[str]:
    """From the drawn character back to the end of the text."""
    x, start = 352, bottom
    path = f"M236 {start:g} H{x - 10:g} q10 0 10 -10 V{top + 10:g} q0 -10 -10 -10 h-5 m6 -4 l-6 4 l6 4"
    return [f'<path d="{path}" stroke="{ORANGE}" stroke-width="2" fill="none"/>']


def what_you_build() -> str:
    """The picture of the landing page and of README."""
    parts = [*tokens(22), arrow(180, 112, 16), *vectors(150), arrow(180, 244, 16), *block(268)]
    parts += [arrow(180, 486, 16), *probabilities(524), *loop(71, 565)]
    return svg("what-you-build", WIDTH, 656, "What you will build", DESCRIPTION, parts)


def logo() -> str:
    """A causal mask: each row may look at itself and at what came before; the last one found something."""
    parts = []
    for row in range(4):
        for index in range(row + 1):
            color = ORANGE if (row, index) == (3, 1) else BLUE
            parts.append(
                f'<rect x="{index * 12:g}" y="{row * 12:g}" width="10" height="10" rx="2" fill="{color}"/>'
            )
    return svg("logo", 46, 46, "Build a GPT", "A staircase of squares, one of them orange.", parts)


def svg(name: str, width: int, height: int, title: str, description: str, parts: list[str]) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" class="course-picture" '
        f'role="img" aria-labelledby="{name}-title {name}-text">',
        f'<title id="{name}-title">{title}</title>',
        f'<desc id="{name}-text">{description}</desc>',
        f"<style>{STYLE}</style>" if name != "logo" else "",
        *parts,
        "</svg>",
    ]
    return "\n".join(line for line in lines if line) + "\n"


PICTURES = {"what_you_build.svg": what_you_build, "logo.svg": logo}


def main() -> None:
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
