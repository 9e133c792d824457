from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from intents.agents import create_key, register_agent
from intents.labels import LabelsError, read_labels
from intents.management.answering import Answer, AnsweringCommand, find_person
from intents.models.agents import STANDARD_TIER


class Command(AnsweringCommand):
    help = "Register an agent and make its first key, which is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="lower-case letters, digits, dots, dashes and underscores; it never changes")
        parser.add_argument(
            "--owner", required=True, metavar="USER", help="who answers for it, and never decides on it"
        )
        parser.add_argument("--environment", default="production", help="where it acts (default: production)")
        parser.add_argument(
            "--tier", default=STANDARD_TIER, help=f"how much it is trusted, in one word (default: {STANDARD_TIER})"
        )
        parser.add_argument(
            "--label",
            action="append",
            default=[],
            dest="labels",
            metavar="NAME=VALUE",
            help="what else policies may rely on; as often as needed",
        )
        parser.add_argument("--description", default="", help="what it is for")

    def answer(self, **options: Any) -> Answer:
        owner = find_person(options["owner"])
        labels = self._labels(options["labels"])
        with transaction.atomic():
            agent = register_agent(
                name=options["name"],
                owner=owner,
                environment=options["environment"],
                tier=options["tier"],
                labels=labels,
                description=options["description"],
                by=self.actor,
            )
            _, key = create_key(agent, by=self.actor)
        return Answer(
            {"id": agent.id, "name": agent.name, "key": key},
            f"Agent {agent.name} ({agent.id}), owned by {owner.get_username()}.\n"
            f"Its key, shown this once:\n\n    {key}\n\nThe agent sends it as: Authorization: Bearer {key[:12]}…",
        )

    def _labels(self, given: list[str]) -> dict[str, str]:
        labels: dict[str, str] = {}
        for text in given:
            try:
                read = read_labels([text])
            except LabelsError as error:
                raise CommandError(f"--label {text!r}: {error.faults[0].partition(': ')[2]}") from error
            if repeated := labels.keys() & read.keys():
                raise CommandError(f"--label {repeated.pop()} is given twice: leave one out.")
            labels |= read
        return labels
