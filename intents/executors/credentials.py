"""Secrets that targets ask for, looked up by name at the last moment and kept nowhere.

An action type says `credentials: crm`; the operator sets `ZEHRAVA_CREDENTIAL_CRM` where the worker runs. A hyphen or
dot in the name is an underscore in the variable.
"""

import os
import re

from intents.executors.orders import NotBegun

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
# What may stand in an Authorization header. Checked here, since libraries quote the value they refuse.
_USABLE = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")


def credential(name: str) -> str:
    """The secret of that name; raises NotBegun, without its value, where there is none that can be sent."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise NotBegun("The action type's name for credentials must be letters, digits, hyphens, dots and underscores.")
    variable = f"ZEHRAVA_CREDENTIAL_{re.sub('[.-]', '_', name.upper())}"
    value = os.environ.get(variable, "")
    if not value:
        raise NotBegun(f"{variable} is not set where the worker runs; nothing was sent.")
    if not _USABLE.fullmatch(value):
        raise NotBegun(f"{variable} holds characters that no header can carry; nothing was sent.")
    return value
