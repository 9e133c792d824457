"""The word that says why, which the pages always ask for: a rationale is read, a word can be counted."""

from __future__ import annotations

from zehrava.problems import Problem


def refuse_without(ground: str) -> str:
    """The ground as it is. Raises Problem `invalid` with the path `/ground` where none was chosen."""
    if not ground:
        raise Problem("invalid", "Choose why: the agent reads it, and it can be counted.", path="/ground")
    return ground
