import os
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.urls import reverse

from intents.management.answering import Answer, AnsweringCommand, as_typed
from zehrava_site.demo import rules, scripted_agent
from zehrava_site.demo.people import Person, give_passwords, make_people
from zehrava_site.demo.script import DECIDE, DECIDED_BY
from zehrava_site.demo.scripted_agent import Made


class Command(AnsweringCommand):
    help = (
        "Make people, agents and policies to look around with, and let a scripted agent propose. Run it as often as "
        "you like: what exists stays, and there is always something to decide afterwards."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reset-passwords", action="store_true", help="give the demo's people new passwords")
        parser.add_argument("--url", help="where the portal serves (default: 127.0.0.1 at PORT, or ZEHRAVA_BASE_URL)")

    def answer(self, **options: Any) -> Answer:
        if settings.ZEHRAVA_PRODUCTION:
            raise CommandError("The demo's people could decide on real intents: it does not run in production.")
        url = (options["url"] or _own_url()).rstrip("/")
        make_people(by=self.actor)
        rules.load_gallery(by=self.actor)
        agents = scripted_agent.register_agents(by=self.actor)
        made = scripted_agent.propose_all(agents, url=url, by=self.actor)
        served = scripted_agent.answers(url)
        people = give_passwords(by=self.actor, reset=options["reset_passwords"])
        decide = next(each for each in made if each.proposal.slug == DECIDE)
        page = url + reverse("admin:intents_intent_change", args=[decide.intent.pk])
        document = {
            "url": url,
            "served": served,
            "people": [
                {"username": person.role.username, "groups": list(person.role.groups), "password": person.password}
                for person in people
            ],
            "agents": [{"id": agent.pk, "name": agent.name} for agent in agents],
            "intents": [_summary(each) for each in made],
            "decide": {"intent": decide.intent.pk, "as": DECIDED_BY, "page": page},
        }
        text = "\n".join([*_people(people), "", *_proposals(made), "", *_next(url, page, decide, served=served)])
        return Answer(document, text)


def _own_url() -> str:
    # PORT is how `make run` and `make demo` are told where to serve; the base address is what people type.
    port = os.environ.get("PORT")
    return f"http://127.0.0.1:{port}" if port and "ZEHRAVA_BASE_URL" not in os.environ else settings.BASE_URL


def make_run() -> str:
    """`make run` as somebody types it who said PORT here."""
    port = os.environ.get("PORT") or "8000"
    return "make run" if port == "8000" else f"make run PORT={port}"


def _summary(each: Made) -> dict[str, Any]:
    intent = each.intent
    return {
        "id": intent.pk,
        "agent": intent.agent_name,
        "action": intent.action,
        "status": intent.status,
        "new": each.new,
    }


def _people(people: list[Person]) -> list[str]:
    lines = ["People:"]
    lines += [f"  {person.role.username:8} {person.password or '(exists)':26} {person.role.does}" for person in people]
    if any(person.password for person in people):
        lines.append("  These passwords are shown this once.")
    if not all(person.password for person in people):
        lines.append(f"  New passwords for those who exist: {as_typed('demo --reset-passwords')}")
    return lines


def _proposals(made: list[Made]) -> list[str]:
    lines = ["What the agents proposed:"]
    for each in made:
        intent = each.intent
        why = intent.verdict.get("reason") or ""
        lines.append(f"  {intent.get_status_display():22} {intent.agent_name:9} {intent.action:15} {why}")
    return lines


def _next(url: str, page: str, decide: Made, *, served: bool) -> list[str]:
    steps = [] if served else [f"Start the portal: {make_run()}"]
    steps.append(f"Open {url}/admin/ and sign in as {DECIDED_BY}")
    steps.append(f'Open "{decide.proposal.payload["subject"]}" on the desk, read it, and approve it: {page}')
    steps.append("You are back on the desk: follow the link at its top to see on its page that it was carried out")
    steps.append("Sign in as anna and read the events")
    return ["Now you:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
