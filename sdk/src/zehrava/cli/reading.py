"""Reading the files that a command is given; what is wrong with any of them is said about all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from zehrava.action_types import ActionType
from zehrava.policy import DocumentError, Fault, Policy, load_policy
from zehrava.policy.cases import Case
from zehrava.policy.cases import load as load_cases
from zehrava.policy.strict_yaml import MAX_BYTES

from .output import Complaints

Read = TypeVar("Read")


def read_policies(files: Sequence[str], complaints: Complaints) -> list[tuple[str, Policy]]:
    """The policies of these files, each with its file; two of one name are refused."""
    return _unlike(_each(files, load_policy, complaints), complaints)


def read_action_types(files: Sequence[str], complaints: Complaints) -> dict[str, ActionType]:
    """Action types by name."""
    found = _unlike(_each(files, lambda file: ActionType.parse(read_text(file)), complaints), complaints)
    return {action_type.name: action_type for _, action_type in found}


def read_cases(files: Sequence[str], complaints: Complaints) -> list[Case]:
    """The cases of these files."""
    return [case for _, cases in _each(files, load_cases, complaints) for case in cases]


def read_text(file: str) -> str:
    """A text file of the size that documents may have.

    Raises:
        DocumentError: when it is longer, or no UTF-8.
        OSError: when it cannot be read.
    """
    with open(file, "rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise DocumentError(f"The document is longer than {MAX_BYTES // 1024} KiB; split it")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise DocumentError("The document is not UTF-8") from None


def _each(files: Sequence[str], read: Callable[[str], Read], complaints: Complaints) -> list[tuple[str, Read]]:
    found = []
    for file in files:
        try:
            found.append((file, read(file)))
        except DocumentError as error:
            complaints.refuse(file, error)
        except OSError as error:
            complaints.unreadable(file, error)
    return found


def _unlike(found: list[tuple[str, Any]], complaints: Complaints) -> list[tuple[str, Any]]:
    """Those whose name no earlier one has."""
    names: dict[str, str] = {}
    for file, each in found:
        if each.name in names:
            complaints.fault(file, Fault("name", f"the name {each.name!r} is taken by {names[each.name]}"))
        names.setdefault(each.name, file)
    return [(file, each) for file, each in found if names[each.name] == file]
