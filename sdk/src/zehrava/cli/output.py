"""What a command prints. Whatever it shows may be hostile: what is not printable is shown as an escape."""

from __future__ import annotations

import json
import sys
from typing import Any

from zehrava.policy import DocumentError, Fault


def plain(text: str) -> str:
    """Text that cannot steer the terminal, in one line."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def say(text: str) -> None:
    """One line on standard output."""
    print(plain(text))


def complain(text: str) -> None:
    """One line on standard error."""
    print(plain(text), file=sys.stderr)


def say_json(document: Any) -> None:
    """A document as JSON, which escapes what is not ASCII by itself."""
    print(json.dumps(document, indent=2, sort_keys=True, default=str))


def say_document(text: str) -> None:
    """A document exactly as it is, in UTF-8: it may be redirected into a file. YAML holds no control characters."""
    if sys.stdout is None:
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())


def count(number: int, what: str) -> str:
    """``1 rule``, ``2 rules``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class Complaints:
    """What is wrong with files, said as ``file:line:column: path: message``, or kept for JSON."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.errors: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self.errors)

    def refuse(self, file: str, error: DocumentError) -> None:
        """A document that was refused."""
        for fault in error.errors:
            self.fault(file, fault)

    def fault(self, file: str, fault: Fault) -> None:
        """One thing that is wrong in a file."""
        self._keep(file, fault.path, fault.line, fault.column, fault.reason)
        if not self.quiet:
            complain(f"{file}:{fault}")

    def unreadable(self, file: str, error: OSError) -> None:
        """A file that cannot be read."""
        self._file(file, f"cannot be read: {error.strerror or error}")

    def unwritable(self, file: str, error: OSError) -> None:
        """A file that cannot be written."""
        self._file(file, f"cannot be written: {error.strerror or error}")

    def _file(self, file: str, reason: str) -> None:
        self._keep(file, "", 1, 1, reason)
        if not self.quiet:
            complain(f"{file}: {reason}")

    def _keep(self, file: str, path: str, line: int, column: int, message: str) -> None:
        self.errors.append({"file": file, "path": path, "line": line, "column": column, "message": message})
