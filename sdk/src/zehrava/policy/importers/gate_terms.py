"""The ``block_if_terms`` of Zehrava Gate, as ``contains_term``: whole words, however they are disguised."""

from __future__ import annotations

from collections.abc import Iterator

from ..verdicts import BLOCK
from .cel import Cel, Path, both, call, compare, fits, literal, strings
from .draft import Draft
from .source import Source, quoted

_AT_ONCE = 40


def term_rules(source: Source, terms: list[str], place: str) -> Iterator[Draft]:
    """Rules that block a payload with one of ``terms`` in it, each with as many as a condition holds."""
    if terms:
        reason = (
            "terms are whole words here, found in every text and name of the payload, however they are disguised; a"
            " term inside a longer word no longer counts"
        )
        source.note(place, reason)
    start = 0
    terms = list(dict.fromkeys(terms))
    while start < len(terms):
        taken = _AT_ONCE
        while taken > 1 and not fits(_test(terms[start : start + taken])):
            taken //= 2
        if not fits(_test(terms[start : start + taken])):
            raise source.refuse(
                place, f"{quoted(terms[start])} cannot be looked for; a term has letters or digits in it"
            )
        yield Draft("terms", BLOCK, _test(terms[start : start + taken]), "the payload holds a term that is not allowed")
        start += taken


def _test(terms: list[str]) -> Cel:
    payload = Path("payload").value
    found = call("contains_term", payload, strings(terms))
    return both(compare(payload, "!=", literal(None)), found) or found
