"""Commands that answer: text for a person, or with --json one JSON document and nothing else."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, ProgrammingError

from audit.actors import Actor
from zehrava.problems import Problem


@dataclass(frozen=True)
class Answer:
    """What a command made: the document that --json prints, and the same for a person to read."""

    document: dict[str, Any]
    text: str


class AnsweringCommand(BaseCommand):
    """Implement `answer`; a Problem becomes a message on standard error and exit code 1."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print nothing but one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            answer = self.answer(**options)
        except Problem as problem:
            raise CommandError(problem.detail) from problem
        except (OperationalError, ProgrammingError) as error:
            raise CommandError(
                f"The database cannot be used: {error}. See that it is reachable, then run: {as_typed('migrate')}"
            ) from error
        self.stdout.write(json.dumps(answer.document, indent=2) if options["json"] else answer.text)

    def answer(self, **options: Any) -> Answer:
        raise NotImplementedError

    @property
    def actor(self) -> Actor:
        """Who the ledger says did it: somebody on the server, through this command."""
        return Actor.system(f"manage.py {type(self).__module__.rsplit('.', 1)[-1]}")


def as_typed(command: str) -> str:
    """A command of manage.py as somebody types it in the folder of the portal."""
    python = Path(sys.executable)
    # Not resolved: what a virtual environment's python links to knows nothing of the environment.
    if python.is_relative_to(settings.BASE_DIR):
        python = python.relative_to(settings.BASE_DIR).with_name("python")
    return f"{python} manage.py {command}"


def find_person(username: str) -> User:
    """The active person of that username. Raises CommandError that says what to do."""
    person = User.objects.filter(username=username).first()
    if person is None:
        raise CommandError(
            f"There is no person called {username!r}: add them in the admin under People, then try again."
        )
    if not person.is_active:
        raise CommandError(
            f"{username} is not active: choose somebody else, or activate them in the admin under People."
        )
    return person
