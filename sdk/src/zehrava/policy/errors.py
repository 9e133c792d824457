"""Errors of policy and action type documents: where it is wrong, what is wrong, how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_ERRORS = 20  # a hostile document may be wrong in a million places; nobody reads more than these


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a document; ``line`` and ``column`` count from 1."""

    path: str
    reason: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.path or 'document'}: {self.reason}"


class DocumentError(ValueError):
    """A document was refused.

    Args:
        faults: everything found wrong, in the order of the document; never empty.

    The attributes ``path``, ``line``, ``column`` (from 1) and ``reason`` are those of the first fault;
    ``errors`` holds all of them, at most ``MOST_ERRORS``.
    """

    def __init__(self, faults: Sequence[Fault] | Fault | str) -> None:
        if isinstance(faults, str):
            faults = Fault("", faults)
        if isinstance(faults, Fault):
            faults = [faults]
        self.errors: list[Fault] = list(faults[:MOST_ERRORS])
        first = self.errors[0]
        self.path = first.path
        self.line = first.line
        self.column = first.column
        self.reason = first.reason
        super().__init__("\n".join(str(fault) for fault in self.errors))


class PolicyError(DocumentError):
    """A policy document was refused."""


class ActionTypeError(DocumentError):
    """An action type document was refused."""
