from typing import Any

from django.core.management.base import CommandParser

from intents.management.answering import Answer, AnsweringCommand, find_person
from zehrava.problems import Problem
from zehrava_site.identity import factors


class Command(AnsweringCommand):
    help = "Remove every second factor of somebody who lost them, and the recovery codes; their sessions end."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("user", metavar="USER", help="the person's user name")
        parser.add_argument("--reason", required=True, help="why, for the ledger: how do you know that it is them?")

    def answer(self, **options: Any) -> Answer:
        person, reason = find_person(options["user"]), options["reason"].strip()
        if not reason:
            raise Problem("invalid", "Say why: the ledger keeps it.")
        count = factors.remove_all(person, by=self.actor, reason=reason)
        name = person.get_username()
        return Answer(
            {"user": name, "removed": count},
            f"Removed {count} second factors of {name}. Their password alone signs in again, and no session of theirs "
            "goes on."
            if count
            else f"{name} has no second factor.",
        )
