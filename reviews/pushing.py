"""Words that push whoever reads: to hurry, not to look, to believe that others have looked already.

A hint for the eye and no control: whoever wants to push finds words that are not listed here.
"""

from __future__ import annotations

import re

MOST = 10
_WHO = "(?:ceo|cfo|board|legal|finance|security|manager|management)"
_PHRASES = (
    r"already (?:been )?(?:approved|agreed|signed off|confirmed|reviewed)",
    r"(?:has|have) already (?:approved|agreed)",
    rf"{_WHO} (?:has |have |already )*(?:approved|agreed|confirmed)",
    rf"on behalf of the {_WHO}",
    r"pre-?approved",
    r"urgent(?:ly)?",
    r"asap",
    r"immediately",
    r"right away",
    r"at once",
    r"routine",
    r"trust me",
    r"as agreed",
    r"no (?:need|time) to (?:review|check|read|look|wait)",
    r"(?:do not|don't|don’t) (?:review|check|read|delay|wait|escalate|tell|reject)",
    r"(?:just|please|simply|click) approve",
    r"approve (?:this|it|now|immediately)",
    r"(?:safe|ok|okay) to approve",
    r"ignore (?:the |all |any )?(?:previous|above|policy|rules|warnings?)",
)
_PUSHES = re.compile(rf"\b(?:{'|'.join(_PHRASES)})\b", re.IGNORECASE)


def pushes(value: str) -> tuple[str, ...]:
    """The phrases in it that push, in lower case, each once and at most `MOST`."""
    found: dict[str, None] = {}
    for phrase in _PUSHES.finditer(value):
        found.setdefault(phrase[0].lower())
        if len(found) == MOST:
            break
    return tuple(found)
