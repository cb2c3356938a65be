"""The docstrings of this house as Markdown, for the reference: mkdocstrings calls this for each.

Their examples are code, and their parts (Arguments:, Returns:, ...) paragraphs. As Markdown alone, ">>>" is a quotation in a
quotation in a quotation, and x[:, 0][1] a link.
"""

import re

import griffe


class Docstrings(griffe.Extension):
    """Changes the docstring of whatever mkdocstrings reads."""

    def on_object(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """A docstring in Markdown.

    >>> print(markdown("Sum.\\n\\nArguments: x.\\nReturns: y.\\n\\n>>> total([1, 2])\\n3"))
    Sum.
    <BLANKLINE>
    Arguments: x.
    <BLANKLINE>
    Returns: y.
    <BLANKLINE>
    ```pycon
    >>> total([1, 2])
    3
    ```
    """
    return "\n\n".join(_paragraph(paragraph) for paragraph in docstring.strip().split("\n\n"))


def _paragraph(text: str) -> str:
    if text.startswith(">>>"):
        return f"```pycon\n{text}\n```"
    return re.sub(r"\n(?=(Arguments|Attributes|Given|Raises|Returns|Source|Weights):)", "\n\n", text)
