"""Reasons that people give: kept as they are typed, and never empty to the eye where one is needed."""

import unicodedata

from audit.text import is_hidden
from zehrava.problems import Problem

LENGTH = 10_000
# Letters, numbers, punctuation and symbols: a mark alone is nothing to read.
_SEEN = ("L", "N", "P", "S")
_LAYOUT = "\n\r\t"


def read_reason(text: object, *, path: str, needed: str | None = None) -> str:
    """The reason without space around it. `needed` is what to tell somebody who gave none; None where none is needed.

    Raises Problem `invalid` with `path` for what is no text, too long, holds control characters, or shows nothing.
    """
    if not isinstance(text, str):
        raise Problem("invalid", f"{path.strip('/')}: Send a string.", path=path)
    reason = text.strip()
    if len(reason) > LENGTH:
        raise Problem("invalid", f"Keep the reason within {LENGTH} characters.", path=path)
    if any(unicodedata.category(letter) == "Cc" and letter not in _LAYOUT for letter in reason):
        raise Problem("invalid", "The reason holds a control character; type it again without.", path=path)
    if needed and not any(unicodedata.category(c)[0] in _SEEN and not is_hidden(c) for c in reason):
        raise Problem("invalid", needed, path=path)
    return reason
