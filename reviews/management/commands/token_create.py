from typing import Any

from django.core.management.base import CommandParser

from intents.management.answering import Answer, AnsweringCommand, find_person
from reviews.tokens import create_token


class Command(AnsweringCommand):
    help = "Make a personal token with which a person calls the API; it is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("user", metavar="USER", help="the person's user name")

    def answer(self, **options: Any) -> Answer:
        person = find_person(options["user"])
        _, token = create_token(person, by=self.actor)
        return Answer(
            {"user": person.get_username(), "token": token},
            f"A personal token for {person.get_username()}, shown this once:\n\n    {token}\n\n"
            f"It may do what {person.get_username()} may do. Send it as: Authorization: Bearer {token[:12]}…",
        )
