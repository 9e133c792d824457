from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from intents.management.answering import Answer, AnsweringCommand
from intents.management.loading import load_policies


class Command(AnsweringCommand):
    help = (
        "Check policies in YAML files, store them and bring them into force: all of them, or none if one is wrong. "
        "Where that takes a second person, they are stored as drafts, and people are asked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a YAML file with one policy")
        parser.add_argument(
            "--cases",
            nargs="+",
            action="extend",
            default=[],
            type=Path,
            metavar="FILE",
            help="a YAML file with cases, which these policies and those in force must agree with",
        )
        parser.add_argument(
            "--replace", action="store_true", help="also where a person has changed in the admin what is in force"
        )

        parser.add_argument("--draft", action="store_true", help="only store them: what is in force stays as it is")

    def answer(self, **options: Any) -> Answer:
        more = {"replace": options["replace"], "cases": options["cases"], "draft": options["draft"]}
        return load_policies(options["files"], by=self.actor, **more)
