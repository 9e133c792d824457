"""`manage.py key_rotate`: let a new key sign from now on."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import signing
from audit.actors import Actor
from zehrava.problems import Problem


class Command(BaseCommand):
    help = (
        "Make a new key that signs from now on. The keys before it stay listed in /.well-known/jwks.json for ever, and "
        "what they signed stays valid. Where ZEHRAVA_SIGNING_KEYS is set, add the new secret there first, on every "
        "host."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print nothing but one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        before = signing.newest_key()
        try:
            key = signing.rotate(by=Actor.system("manage.py key_rotate"))
        except Problem as problem:
            raise CommandError(problem.detail) from problem
        if options["json"]:
            self.stdout.write(json.dumps({"kid": key.kid, "retired": before.kid if before else None}))
            return
        self.stdout.write(f"Signs from now on: {key.kid}")
        if before is not None:
            self.stdout.write(f"Retired, still listed: {before.kid}")
