"""Names of people as an agent may write them."""

from __future__ import annotations

import unicodedata


def folded(name: str) -> str:
    """A name as one reads it: compatibility forms folded, invisible characters gone, in one case."""
    read = unicodedata.normalize("NFKC", name)
    return "".join(c for c in read if unicodedata.category(c) not in ("Cf", "Cc")).casefold().strip()
