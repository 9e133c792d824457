"""Labels of agents as people type them: one `name=value` a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from intents.models.agents import label_fault


class LabelsError(ValueError):
    """What is wrong with which line; `faults` are the sentences."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = faults


def read_labels(lines: Iterable[str]) -> dict[str, str]:
    """The labels of these lines; empty lines are passed over, spaces around names and values do not count.

    Raises LabelsError that names every line that cannot be read or repeats a name.
    """
    labels: dict[str, str] = {}
    faults = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, found, value = (part.strip() for part in line.partition("="))
        if not found:
            faults.append(f"Line {number}: write name=value.")
        elif name in labels:
            faults.append(f"Line {number}: {name!r} is there already, in a line above.")
        elif fault := label_fault(name, value):
            faults.append(f"Line {number}: {fault}")
        else:
            labels[name] = value
    if faults:
        raise LabelsError(faults)
    return labels


def write_labels(labels: Mapping[str, str]) -> str:
    """The lines that `read_labels` reads as these labels, in order of their names."""
    return "\n".join(f"{name}={value}" for name, value in sorted(labels.items()))
