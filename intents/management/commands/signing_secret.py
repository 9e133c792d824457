from typing import Any

from intents.executors.signing import verification_secret
from intents.management.answering import Answer, AnsweringCommand


class Command(AnsweringCommand):
    help = "Show the secret by which targets verify what the http executor signs. Give it to those targets only."

    def answer(self, **options: Any) -> Answer:
        secret = verification_secret()
        return Answer({"secret": secret}, secret)
