"""Policies that decide together, from texts and files."""

from __future__ import annotations

from pathlib import Path

from .document import load_policy, parse_policy
from .evaluation import Evaluator


class PolicySet(Evaluator):
    """Policies that decide together: block wins over require_approval, which wins over allow.

    Arguments, attributes and errors are those of `Evaluator`.
    """

    @classmethod
    def parse(cls, *texts: str) -> PolicySet:
        """Policies from YAML texts.

        Raises:
            PolicyError: for the first that is wrong.
        """
        return cls(parse_policy(text) for text in texts)

    @classmethod
    def load(cls, *paths: str | Path) -> PolicySet:
        """Policies from files.

        Raises:
            PolicyError: for the first that is wrong; its attribute ``file`` names the file.
            OSError: when a file cannot be read.
        """
        return cls(load_policy(path) for path in paths)
