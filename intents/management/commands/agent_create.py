from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from intents.agents import create_key, register_agent
from intents.management.answering import Answer, AnsweringCommand, find_person


class Command(AnsweringCommand):
    help = "Register an agent and make its first key, which is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="lower-case letters, digits, dots, dashes and underscores; it never changes")
        parser.add_argument(
            "--owner", required=True, metavar="USER", help="who answers for it, and never decides on it"
        )
        parser.add_argument("--environment", default="production", help="where it acts (default: production)")
        parser.add_argument("--description", default="", help="what it is for")

    def answer(self, **options: Any) -> Answer:
        owner = find_person(options["owner"])
        with transaction.atomic():
            agent = register_agent(
                name=options["name"],
                owner=owner,
                environment=options["environment"],
                description=options["description"],
                by=self.actor,
            )
            _, key = create_key(agent, by=self.actor)
        return Answer(
            {"id": agent.id, "name": agent.name, "key": key},
            f"Agent {agent.name} ({agent.id}), owned by {owner.get_username()}.\n"
            f"Its key, shown this once:\n\n    {key}\n\nThe agent sends it as: Authorization: Bearer {key[:12]}…",
        )
