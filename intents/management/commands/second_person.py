from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from intents import second_person
from intents.management.answering import Answer, AnsweringCommand


class Command(AnsweringCommand):
    help = (
        "Say whether policies change only when a second person agrees. With --off, record that one person is enough "
        "again, after ZEHRAVA_POLICY_SECOND_PERSON was turned off."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--off", action="store_true", help="let one person change policies alone again")
        parser.add_argument("--reason", default="", help="why, for the ledger; needed with --off")

    def answer(self, **options: Any) -> Answer:
        if options["off"]:
            second_person.waive(by=self.actor, reason=options["reason"])
        elif options["reason"]:
            raise CommandError("A reason is for --off.")
        return _told()


def _told() -> Answer:
    found = second_person.recorded()
    since = found and {"since": found.at.isoformat(), "by": found.by}
    needed = second_person.takes_two()
    line = "Policies change only when a second person agrees" if needed else "One person may change policies alone"
    if found is not None and found.needed == needed:
        line += f", since {found.at:%Y-%m-%d %H:%M} UTC, recorded by {found.by}"
    document = {"takes_two": needed, "by_settings": bool(settings.ZEHRAVA_POLICY_SECOND_PERSON), "recorded": since}
    return Answer(document, f"{line}.")
