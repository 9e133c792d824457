"""What an import gives: a document in our grammar, and everything a person must know about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence about one part of the source document.

    Attributes:
        path: where in the source, such as ``rules[2].condition``.
        reason: what became of it.
        line, column: its place in the source, from 1.
    """

    path: str
    reason: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.path or 'document'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Imported:
    """A policy brought along from somebody else's format.

    Attributes:
        document: YAML in our grammar; ``Policy.parse`` takes it.
        dropped: what could not be carried over as it was. Where it could have held something back, the document asks
            or blocks in its place.
        notes: what was carried over and means something else now, or depends on how agents propose.
    """

    document: str
    dropped: tuple[Remark, ...] = ()
    notes: tuple[Remark, ...] = ()
