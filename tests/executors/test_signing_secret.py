"""manage.py signing_secret: what it prints is what a target verifies with."""

import io
import json

import pytest
from django.core.management import call_command
from standardwebhooks.webhooks import Webhook

from intents.executors import run


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("signing_secret", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("configured", ["any text of the operator", "whsec_c2l4dGVlbiBieXRlcyBvciBtb3Jl"])
def test_a_target_verifies_what_arrives_with_the_secret_that_is_printed(order, target, settings, configured):
    settings.ZEHRAVA_SIGNING_SECRET = configured
    assert run("http", order(url=target.url, allow_private=True), 5.0).state == "succeeded"
    [request] = target.requests
    document = json.loads(printed("--json"))
    assert set(document) == {"secret"} and document["secret"].startswith("whsec_")
    Webhook(document["secret"]).verify(request.body, request.headers)


def test_without_json_it_prints_the_secret_and_nothing_else(settings):
    settings.ZEHRAVA_SIGNING_SECRET = "any text of the operator"
    assert printed() == json.loads(printed("--json"))["secret"] + "\n"
