from typing import Any

from django.core.management.base import CommandError, CommandParser

from intents.agents import create_key
from intents.management.answering import Answer, AnsweringCommand
from intents.models import Agent


class Command(AnsweringCommand):
    help = "Make one more key for an agent, which is shown this once. Its other keys stay."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="the agent's name")

    def answer(self, **options: Any) -> Answer:
        agent = Agent.objects.filter(name=options["name"]).first()
        if agent is None:
            raise CommandError(
                f"There is no agent called {options['name']!r}: register it with agent_create, or in the admin."
            )
        _, key = create_key(agent, by=self.actor)
        return Answer(
            {"id": agent.id, "name": agent.name, "key": key},
            f"One more key for {agent.name}, shown this once:\n\n    {key}\n\nRevoke keys on its page in the admin.",
        )
