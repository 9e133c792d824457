"""Policies as the portal reads them: each text once, however many pages, saves and reloads need it.

A thousand rules take a quarter of a second to compile. What is in force is read anew whenever anything of it changes,
and a save reads what its form has read: a text that somebody still holds, or that was just read, is not read again.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from weakref import WeakValueDictionary

from zehrava import policy
from zehrava.policy import Policy

# The few that nobody may hold yet: a form has read it, and the save, the warnings and what is in force come next.
_JUST_READ = 8
_held: WeakValueDictionary[tuple[str, int], Policy] = WeakValueDictionary()


def parse_policy(text: str, *, version: int = 1) -> Policy:
    """Read a policy as it would be stored. Raises PolicyError, which says where and what to mend."""
    found = _held.get((text, version))
    if found is None:
        found = replace(_read(text), version=version)
        _held[text, version] = found
    return found


@functools.lru_cache(maxsize=_JUST_READ)
def _read(text: str) -> Policy:
    return policy.parse_policy(text)
