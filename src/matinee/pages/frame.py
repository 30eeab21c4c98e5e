"""The frame of a page that stands alone, and what such pages are put together from.

No scripts, nothing loaded from anywhere, light and dark, wide and on a phone: `page.css` beside this file is the style
of all of them, and part of a certificate's bytes.
"""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["figure", "page", "pairs", "plural", "share", "table", "text", "tiles", "warnings"]

# Control characters are not allowed in HTML, and a lone surrogate cannot be written as UTF-8.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def page(*, title: str, eyebrow: str, heading: str, below: str, main: str, footer: str, style: str = "") -> str:
    """The whole page as text.

    Args:
        title: of the window, escaped like all that follows.
        eyebrow: what kind of page it is, in a word or two above the heading.
        heading: what it is about.
        below: a line under the heading.
        main: the body.
        footer: where the numbers are.
        style: rules of its own, after those of all pages.
    """
    common = files("matinee.pages").joinpath("page.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{common}{style}</style>
</head>
<body>
<header class="top">
<p class="eyebrow">{eyebrow}</p>
<h1>{heading}</h1>
<p class="soft">{below}</p>
</header>
<main>
{main}
</main>
<footer>{footer}</footer>
</body>
</html>
"""


def warnings(sentences: Iterable[str]) -> str:
    """What a reader should know first; empty where there is nothing."""
    items = "".join(f"<li>{text(sentence)}</li>" for sentence in sentences)
    number = plural(items.count("<li>"), "warning")
    return f'<section class="warnings"><h2>{number}</h2><ul>{items}</ul></section>' if items else ""


def tiles(numbers: Iterable[tuple[str, str]]) -> str:
    """What and how much, as a row of large numbers."""
    body = "".join(f"<div><dt>{what}</dt><dd>{number}</dd></div>" for what, number in numbers)
    return f'<dl class="tiles">{body}</dl>'


def figure(title: str, caption: str, svg: str) -> str:
    """A picture under its title and a line about it."""
    return f"<figure><figcaption><h3>{title}</h3><p>{caption}</p></figcaption>{svg}</figure>"


def table(label: str, heads: Iterable[str], rows: str) -> str:
    """A table that scrolls by itself where it is too wide; `rows` are its body."""
    cells = "".join(f'<th scope="col">{head}</th>' if head else '<td class="meter"></td>' for head in heads)
    return (
        f'<div class="scroll card" tabindex="0" role="region" aria-label="{label}">'
        f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Label and value, one a line; the values are plain text."""
    return f'<dl class="pairs card">{"".join(f"<dt>{what}</dt><dd>{text(value)}</dd>" for what, value in pairs)}</dl>'


def share(part: int, whole: int) -> str:
    """A percentage that says 0% and 100% only where it is exactly that."""
    if not whole:
        return "\u2013"
    percent = 100 * part / whole
    if part > 0 and percent < 0.1:
        return "under 0.1%"
    if part < whole and percent > 99.9:
        return "over 99.9%"
    return f"{percent:.1f}%" if 0 < part < whole else f"{percent:.0f}%"


def plural(number: int, noun: str) -> str:
    """So many of them, in words that fit."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def text(value: str) -> str:
    """Whatever it holds, it is no markup."""
    return escape(_UNPRINTABLE.sub("\ufffd", value))
