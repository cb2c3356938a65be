"""Names from the world, shown: folders, files, classes, columns, students and texts can hold any character.

A name is escaped where it is shown, and nowhere else: what the engine compares and opens stays as it is. Each place has its
function, and every page, figure and table uses these.

    shown(name)        on a terminal, in a file of text: no character moves the cursor, changes colours or turns the direction
    line(text)         a message: shown, on one line, cut if it is too long
    lines(text)        several lines, each shown
    in_html(name)      in a page
    in_markdown(name)  in a lesson's Markdown, which becomes a page
    without_html(text) a line of a Markdown file, whose marks stay
    in_figure(name)    in a figure of matplotlib: a $ is a dollar sign
    in_cell(value)     in a CSV file: no program that opens it takes it for a formula
    in_markup(name)    in rich's console markup, where [red] is a colour
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any

CONTROL = ("Cc", "Cs", "Zl", "Zp", "Cf")  # Unicode's categories of control, surrogate, separator and format characters
JOINERS = "\u200c\u200d"  # format characters that scripts and emoji need
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # what spreadsheets take for the beginning of a formula
MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~$:@^])")


def shown(name: Any) -> str:
    r"""The text with control characters escaped as Python writes them: escape sequences, line ends, changes of direction.

    >>> shown("a\x1b[31mb\u202ec"), shown("肺炎 🫁 a'b")
    ('a\\x1b[31mb\\u202ec', "肺炎 🫁 a'b")
    """
    text = str(name)
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    """The character, or its escape."""
    if character in JOINERS or unicodedata.category(character) not in CONTROL:
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def line(text: Any, longest: int | None = None) -> str:
    r"""A message as one line; the middle of a longer one than `longest` characters is left out.

    >>> line("a\n  b\x07"), line("0123456789abcdef", longest=11)
    ('a b\\x07', '012 ... def')
    """
    whole = shown(" ".join(str(text).split()))
    if longest is None or len(whole) <= longest:
        return whole
    kept = (longest - 5) // 2
    return f"{whole[:kept]} ... {whole[-kept:]}"


def lines(text: Any) -> str:
    r"""A text of several lines, each shown.

    >>> lines("a\nb\x1b[2J")
    'a\nb\\x1b[2J'
    """
    return "\n".join(map(shown, str(text).split("\n")))


def in_html(name: Any) -> str:
    """The text in a page, also inside an attribute's quotes.

    >>> in_html("<img src=x onerror='alert(1)'>")
    '&lt;img src=x onerror=&#x27;alert(1)&#x27;&gt;'
    """
    return html.escape(shown(name))


def in_markdown(name: Any) -> str:
    """The text in Markdown that becomes a page: neither HTML nor Markdown's own marks, nor an equation.

    >>> in_markdown("<b>*x*</b> $1$")
    '&lt;b&gt;&#42;x&#42;&lt;/b&gt; &#36;1&#36;'
    """
    marks = MARKDOWN.sub(lambda m: f"&#{ord(m[1])};", shown(name).replace("&", "&amp;"))
    return marks.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;").replace("'", "&apos;")


def without_html(text: Any) -> str:
    """A line of a Markdown file that is read as text, too: its marks stay, and no HTML begins.

    >>> without_html("**a** <b>, can't tell")
    "**a** &lt;b>, can't tell"
    """
    return shown(text).replace("<", "&lt;")


def in_figure(name: Any) -> str:
    r"""The text in a figure, on one line; a pair of dollar signs makes no equation, whatever matplotlib's settings are.

    >>> in_figure("cost $1, or $x^{$")
    'cost \\$1, or \\$x^{\\$'
    """
    from matplotlib import rcParams

    text = shown(name)
    return text.replace("$", r"\$") if rcParams["text.parse_math"] else text


def in_cell(value: Any) -> Any:
    """A cell of a CSV file: a text that a spreadsheet would take for a formula gets an apostrophe; numbers stay numbers.

    >>> in_cell("=1+1"), in_cell(-0.5), in_cell("pneumonia")
    ("'=1+1", -0.5, 'pneumonia')
    """
    if not isinstance(value, str):
        return value
    return f"'{shown(value)}" if value.lstrip(" ").startswith(FORMULA) else shown(value)


def in_markup(name: Any) -> str:
    """The text in rich's markup, where brackets are tags.

    >>> in_markup("[red]")
    '\\\\[red]'
    """
    from rich.markup import escape

    return escape(shown(name))
