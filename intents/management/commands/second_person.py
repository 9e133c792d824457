from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from intents import activation, second_person
from intents.management.answering import Answer, AnsweringCommand
from intents.models import ActivationRequest


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
            settled = activation.waive_second_person(by=self.actor, reason=options["reason"])
            return _told(settled)
        if options["reason"]:
            raise CommandError("A reason is for --off.")
        return _told()


def _told(settled: Sequence[ActivationRequest] = ()) -> Answer:
    found = second_person.recorded()
    since = found and {"since": found.at.isoformat(), "by": found.by}
    needed = second_person.takes_two()
    line = "Policies change only when a second person agrees" if needed else "One person may change policies alone"
    if found is not None and found.needed == needed:
        line += f", since {found.at:%Y-%m-%d %H:%M} UTC, recorded by {found.by}"
    document: dict[str, Any] = {
        "takes_two": needed,
        "by_settings": bool(settings.ZEHRAVA_POLICY_SECOND_PERSON),
        "recorded": since,
    }
    lines = [f"{line}."]
    if settled:
        document["withdrawn"] = [
            {"policy": request.policy.name, "version": request.version.number if request.version else None}
            for request in settled
        ]
        lines += [f"No longer waits for anybody, and did not happen: {_asked(request)}." for request in settled]
    return Answer(document, "\n".join(lines))


def _asked(request: ActivationRequest) -> str:
    if request.version is None:
        return f"taking {request.policy.name} out of force"
    return f"{request.policy.name} v{request.version.number}, which can be brought into force directly now"
