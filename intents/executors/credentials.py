"""Secrets that targets ask for, looked up by name at the last moment and kept nowhere.

An action type says `credentials: crm`; the operator sets, where it is used, `ZEHRAVA_CREDENTIAL_CRM` to the secret
and `ZEHRAVA_CREDENTIAL_CRM_HOSTS` to the hosts that may have it. A hyphen or dot in the name is an underscore in the
variables. So whoever writes an action type can name a secret, and cannot have it sent to a host of their own.
"""

import json
import os
import re
from urllib.parse import quote

from intents.executors.orders import NotBegun
from zehrava.targets import Destination, TargetError, authority, credentials_fault

# What may stand in an Authorization header. Checked here, since libraries quote the value they refuse.
_USABLE = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")
_TLS_PORT = 443


def credential(name: str, where: Destination, *, of: str = "the worker") -> str:
    """The secret of that name; raises NotBegun, without its value, unless it can be sent and may be sent there.

    `of` is which process asks: what an operator reads says where the variables are missing.
    """
    if fault := credentials_fault(name):
        raise NotBegun(f"What the action type calls credentials {fault}. Nothing was sent.")
    variable = f"ZEHRAVA_CREDENTIAL_{re.sub('[.-]', '_', name.upper())}"
    listed = f"{variable}_HOSTS"
    missing = [asked for asked in (variable, listed) if not os.environ.get(asked, "").strip(", \t")]
    if missing:
        raise NotBegun(
            f"An operator must set {' and '.join(missing)} where {of} runs: the secret, and the hosts that may "
            f"have it in {listed}. Nothing was sent."
        )
    if not _permitted(where, _hosts(listed)):
        raise NotBegun(
            f"{listed} does not name {where.authority}. If the secret may go there, an operator must add it where "
            f"{of} runs. Nothing was sent."
        )
    value = os.environ[variable]
    if not _USABLE.fullmatch(value):
        raise NotBegun(f"{variable} holds characters that no header can carry; nothing was sent.")
    return value


def repeats(content: bytes, secret: str) -> bool:
    """Whether the content holds the secret, as it is or as JSON or a URL would write it."""
    quoted = json.dumps(secret)[1:-1]
    forms = (secret, quoted, quoted.replace("/", "\\/"), quote(secret, safe=""))
    return any(form.encode() in content for form in forms)


def _permitted(where: Destination, hosts: frozenset[tuple[str, int]]) -> bool:
    # Not in the clear to a host that was listed for TLS.
    return (where.host, where.port) in hosts and (where.scheme == "https" or where.port != _TLS_PORT)


def _hosts(variable: str) -> frozenset[tuple[str, int]]:
    """The hosts and ports of a list; raises NotBegun where any of it cannot be read."""
    found = set()
    for number, entry in enumerate(os.environ[variable].split(","), 1):
        if not entry.strip():
            continue
        try:
            host, port = authority(entry.strip())
        except TargetError as error:
            # Not quoted: whoever mixes up the two variables has a secret here.
            raise NotBegun(
                f"{variable} must be host or host:port, with commas between them; entry {number} is neither. "
                "Nothing was sent."
            ) from error
        found.add((host, port or _TLS_PORT))
    return frozenset(found)
