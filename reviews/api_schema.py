"""How the reviewers' API is described; nothing here runs while a request is answered."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers

from intents.api.schema import AGENTS, PEOPLE, PERSONAL_TOKEN, SESSION, IntentShown
from reviews.models import Ground, Vote


class PersonalTokenScheme(OpenApiAuthenticationExtension):
    target_class = "reviews.authentication.PersonalTokenAuthentication"
    name = PERSONAL_TOKEN

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A person's token, `zhp_…`."}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "reviews.authentication.PersonSessionAuthentication"
    name = SESSION

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The admin's session; what changes something also needs X-CSRFToken.",
        }


class NewDecision(serializers.Serializer):
    vote = serializers.ChoiceField(Vote.choices)
    digest = serializers.CharField(help_text="The intent's digest, of what was shown.")
    ground = serializers.ChoiceField(
        Ground.choices,
        required=False,
        allow_null=True,
        help_text="Why you reject or change, in a word that can be counted.",
    )
    rationale = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=10_000, help_text="Required to reject or change."
    )
    changes = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        allow_null=True,
        help_text="With approve: a JSON Patch (RFC 6902) of the payload. What it makes has a digest of its own, and"
        " approvals of what it was before no longer count.",
    )
    delegator = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="The username of who you decide for, where you could for several. Without it you decide for yourself"
        " where you have a seat to fill, else for the only one who delegated to you.",
    )


DECIDE = extend_schema(
    operation_id="intents_decide",
    summary="Vote to approve or reject an intent",
    description=(
        "The vote counts for exactly what has this digest. Only people in the groups the requirement names may vote,"
        " and never the agent's owner."
    ),
    auth=PEOPLE,
    request=NewDecision,
    responses={201: IntentShown},
    examples=[
        OpenApiExample(
            "Reject",
            value={
                "vote": "reject",
                "digest": "sha256:" + "0" * 64,
                "ground": "wrong_amount",
                "rationale": "Twice the usual amount.",
            },
            request_only=True,
        )
    ],
    tags=["decisions"],
)
WITHDRAW = extend_schema(
    operation_id="decisions_withdraw",
    summary="Take one's own vote back while the intent is pending",
    auth=PEOPLE,
    responses={200: IntentShown},
    tags=["decisions"],
)


RECORD = extend_schema(
    operation_id="decisions_record",
    summary="The signed record of a decision",
    description=(
        "A compact JWS (RFC 7515) by one of the keys of `/.well-known/jwks.json`; its payload is the record. For"
        " auditors, and for the reviewer whose decision it is."
    ),
    auth=PEOPLE,
    responses={(200, "application/jose"): OpenApiTypes.STR},
    tags=["decisions"],
)


REVEAL = extend_schema(
    operation_id="intents_reveal",
    summary="Read an intent with what its action type marks sensitive",
    description=(
        "It is put on record who did. For who may decide on the intent, and who has the permission. Other answers stay"
        " masked."
    ),
    auth=PEOPLE,
    request=None,
    responses={200: IntentShown},
    tags=["intents"],
)


class NewAnswer(serializers.Serializer):
    question = serializers.CharField(help_text="The question's id.")
    text = serializers.CharField(max_length=10_000)


ANSWER = extend_schema(
    operation_id="intents_answer",
    summary="Answer what a person asked about an intent of one's own",
    description=(
        "`questions` of the intent says what is asked. Each is answered once, whatever became of the intent: an answer"
        " re-opens nothing that was decided."
    ),
    auth=AGENTS,
    request=NewAnswer,
    responses={201: IntentShown},
    tags=["intents"],
)


class Queue(serializers.Serializer):
    count = serializers.IntegerField(help_text="How many wait in all.")
    results = IntentShown(many=True)


QUEUE = extend_schema(
    operation_id="queue",
    summary="What waits for this reviewer, most urgent first",
    description="The order is the desk's: risk, then time left. It moves with every decision, so ask again afterwards.",
    auth=PEOPLE,
    parameters=[
        OpenApiParameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
            "query",
            description="How many to show.",
        )
    ],
    responses=Queue,
    tags=["decisions"],
)
