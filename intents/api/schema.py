"""How the agents' API is described; nothing here runs while a request is answered."""

from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers

from intents.models import ExecutionMode, ExecutionState, RiskLevel, Status

AGENT_KEY, PERSONAL_TOKEN, SESSION = "agentKey", "personalToken", "session"
# The library reads security requirements here, and says that it reads names.
AGENTS: Any = [{AGENT_KEY: []}]
PEOPLE: Any = [{PERSONAL_TOKEN: []}, {SESSION: []}]

ANY = {"description": "Any JSON value."}
DIGEST = "`sha256:` and the hexadecimal SHA-256 of the canonical intent (RFC 8785)."


class AgentKeyScheme(OpenApiAuthenticationExtension):
    target_class = "intents.api.authentication.AgentKeyAuthentication"
    name = AGENT_KEY

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An agent's key, `zhv_…`, shown once when it is made.",
        }


@extend_schema_field(ANY)
class AnyJSON(serializers.JSONField):
    """Any JSON value."""


class Value(serializers.Serializer):
    amount = serializers.RegexField(
        r"^-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,12})?$", help_text='An exact decimal in a string: "120.00".'
    )
    currency = serializers.RegexField(r"^[A-Z]{3}$", help_text="ISO 4217.")


class Proposal(serializers.Serializer):
    action = serializers.RegexField(
        r"^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*$", max_length=200, help_text="A dotted verb."
    )
    payload = AnyJSON(help_text="The arguments of the action: any JSON value.", allow_null=True)
    summary = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=10_000, help_text="In the agent's own words."
    )
    context = serializers.DictField(child=AnyJSON(), required=False, allow_null=True)  # type: ignore[assignment]
    target = serializers.CharField(required=False, allow_null=True, max_length=1_000, help_text="What it is done to.")
    tags = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, allow_null=True, max_length=50
    )
    records = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=2**53 - 1, help_text="How many things it touches."
    )
    value = Value(required=False, allow_null=True)
    on_behalf_of = serializers.CharField(required=False, allow_null=True, max_length=254)
    expires_in = serializers.CharField(
        required=False, allow_null=True, help_text="An integer and s, m, h or d: `15m`. Undecided by then, it expires."
    )
    supersedes = serializers.CharField(
        required=False, allow_null=True, help_text="A pending intent of the agent's own that this one replaces."
    )
    execution_mode = serializers.ChoiceField(
        ExecutionMode.choices,
        required=False,
        allow_null=True,
        help_text="`portal` where the action's type has an executor, else `agent`.",
    )
    policy = serializers.CharField(
        required=False, allow_null=True, max_length=254, help_text="One more policy to apply; it only narrows."
    )


class AgentAttributes(serializers.Serializer):
    """What policies would rely on about an agent; what is left out is as for an agent just registered."""

    name = serializers.RegexField(r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    owner = serializers.CharField(required=False, max_length=150)
    environment = serializers.RegexField(r"^[a-z0-9][a-z0-9_.-]{0,62}$", required=False)
    tier = serializers.RegexField(r"^[a-z0-9][a-z0-9_.-]{0,62}$", required=False)
    labels = serializers.DictField(child=serializers.CharField(max_length=200), required=False)


@extend_schema_field(
    {"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/AgentAttributes"}], "nullable": True}
)
class AgentMeant(serializers.JSONField):
    """An agent by its name or by its attributes."""


class Evaluation(Proposal):
    """A proposal, and for people who write policies what it is tried on."""

    agent = AgentMeant(
        required=False,
        allow_null=True,
        help_text="Which agent is meant: the name of a registered one, or its attributes. People only.",
    )
    document = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="The text of a policy that takes the place of the one of its name, or joins. People only.",
    )
    usage = serializers.DictField(
        child=AnyJSON(),
        required=False,
        allow_null=True,
        help_text="By limit (`policy/rule/0`), instead of what is used: an integer or a decimal string. People only.",
    )
    now = serializers.DateTimeField(
        required=False, allow_null=True, help_text="What conditions see as the time. People only."
    )


class AgentRef(serializers.Serializer):
    id = serializers.CharField()
    name = serializers.CharField()


class Proposed(serializers.Serializer):
    payload = AnyJSON(allow_null=True)
    digest = serializers.CharField(help_text=DIGEST)


class Risk(serializers.Serializer):
    score = serializers.IntegerField(min_value=0, max_value=100)
    level = serializers.ChoiceField(RiskLevel.choices)
    reasons = serializers.ListField(child=serializers.CharField())


class Verdict(serializers.Serializer):
    effect = serializers.ChoiceField(["allow", "block", "require_approval"])
    policy = serializers.CharField(allow_null=True)
    version = serializers.IntegerField(allow_null=True)
    rule = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)


class LimitShown(serializers.Serializer):
    limit = serializers.CharField(help_text="policy/rule/ and its place among the limits of the rule, from 0.")
    used = serializers.CharField(allow_null=True, help_text="So far; null where it is not for the caller to know.")
    adds = serializers.CharField(help_text="What the intent would add.")
    most = serializers.CharField(help_text="The bound.")
    window = serializers.IntegerField(allow_null=True, help_text="Seconds a use counts; null: for ever.")
    over = serializers.BooleanField()


class RuleShown(serializers.Serializer):
    policy = serializers.CharField()
    version = serializers.IntegerField()
    rule = serializers.CharField(help_text="`default` where no rule held.")
    effect = serializers.ChoiceField(["allow", "block", "require_approval"])
    when = serializers.CharField(allow_null=True, help_text="Its condition; null where it has none.")
    held = AnyJSON(help_text='true, false or "error".')
    error = serializers.CharField(allow_null=True)
    operands = serializers.ListField(
        child=serializers.DictField(child=AnyJSON()),
        help_text="The condition and its parts: each an `expression` with its `value` or `error`, or with `skipped`: "
        "true where it has no value and another part settled the matter.",
    )
    limits = serializers.ListField(child=serializers.DictField(child=AnyJSON()))
    table = serializers.DictField(
        child=AnyJSON(),
        allow_null=True,
        help_text="Of a rule that asked by its table: `chosen`, the numbers of the rows that ask, and `rows`: each "
        "that was looked at with `row`, `fits` (true, false, null where that cannot be told) and `why`.",
    )


class PolicyRef(serializers.Serializer):
    name = serializers.CharField()
    version = serializers.IntegerField()


class StandingApprovalRef(serializers.Serializer):
    id = serializers.CharField()


class Evaluated(serializers.Serializer):
    """What policy would say, and why."""

    verdict = Verdict()
    requirement = serializers.DictField(child=AnyJSON(), allow_null=True, help_text="Who would have to approve.")
    standing_approval = StandingApprovalRef(
        allow_null=True,
        help_text="What people approved in advance and it would pass on, unless it is drawn as a sample for people.",
    )
    expires_in = serializers.CharField(help_text="How long the intent would have.")
    status = serializers.ChoiceField(["approved", "blocked", "pending_approval"])
    target = serializers.CharField(allow_null=True)
    records = serializers.IntegerField(allow_null=True)
    value = Value(allow_null=True)
    execution_mode = serializers.ChoiceField(ExecutionMode.choices)
    limits = LimitShown(many=True, help_text="Every limit that bears on it.")
    trace = RuleShown(many=True, help_text="Every rule considered, in order.")
    policies = PolicyRef(many=True, help_text="Those that cover it.")


class DecisionShown(serializers.Serializer):
    id = serializers.CharField()
    vote = serializers.ChoiceField(["approve", "reject"])
    reviewer = serializers.CharField()
    ground = serializers.CharField(allow_null=True, help_text="Why it was rejected or changed, in one word.")
    rationale = serializers.CharField()
    changes = AnyJSON(allow_null=True)
    digest = serializers.CharField(help_text="Of what was decided on.")
    record_digest = serializers.CharField(help_text="Of the whole decision, as it is signed.")
    signature = serializers.CharField(
        allow_null=True,
        help_text="A JWS over the record, without it; `/decisions/{id}/record` gives both to who may read it.",
    )
    break_glass = serializers.BooleanField(help_text="Approved by one person beyond the requirement, in an emergency.")
    at = serializers.DateTimeField()


class BrokenGlass(serializers.Serializer):
    by = serializers.CharField()
    reason = serializers.CharField()
    at = serializers.DateTimeField()


class StandingApprovalShown(serializers.Serializer):
    id = serializers.CharField()
    use = serializers.IntegerField(min_value=1, help_text="The how-manieth of its uses this is.")


class AnswerShown(serializers.Serializer):
    text = serializers.CharField()
    at = serializers.DateTimeField()


class QuestionShown(serializers.Serializer):
    id = serializers.CharField()
    text = serializers.CharField()
    by = serializers.CharField(help_text="Who asks.")
    at = serializers.DateTimeField()
    answer = AnswerShown(allow_null=True)


class ExecutionShown(serializers.Serializer):
    id = serializers.CharField()
    state = serializers.ChoiceField(ExecutionState.choices)
    attempt = serializers.IntegerField(min_value=1)
    result = AnyJSON(allow_null=True)


class IntentShown(serializers.Serializer):
    """An intent: what would run now, what policy and people said of it, and where it stands."""

    id = serializers.CharField()
    status = serializers.ChoiceField(Status.choices)
    action = serializers.CharField()
    payload = AnyJSON(allow_null=True, help_text="What would run now.")
    digest = serializers.CharField(help_text=DIGEST)
    proposal = Proposed(help_text="As it was proposed.")
    summary = serializers.CharField(allow_null=True)
    context = serializers.DictField(child=AnyJSON())  # type: ignore[assignment]
    target = serializers.CharField(allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    records = serializers.IntegerField(allow_null=True)
    value = Value(allow_null=True)
    agent = AgentRef()
    on_behalf_of = serializers.CharField(allow_null=True)
    execution_mode = serializers.ChoiceField(ExecutionMode.choices)
    risk = Risk()
    verdict = Verdict()
    requirement = serializers.DictField(
        child=AnyJSON(),
        allow_null=True,
        help_text="Who must approve; `received` are the approvals so far, `missing` the seats that are empty, "
        "`weighed` how much is given where approvals weigh. To people, `could` names who can still fill them, and "
        "`left_out` says whose manager keeps them from it.",
    )
    decisions = DecisionShown(many=True)
    break_glass = BrokenGlass(
        allow_null=True, help_text="Who approved it beyond the requirement, in an emergency, and why."
    )
    standing_approval = StandingApprovalShown(
        allow_null=True, help_text="What people approved in advance and it passed on; null where it did not."
    )
    execution = ExecutionShown(allow_null=True)
    masked = serializers.ListField(
        child=serializers.CharField(),
        help_text="To people: the paths in the payload that its action type marks sensitive. What they lead to is"
        " masked, here and wherever else it is repeated, until it is revealed.",
    )
    questions = QuestionShown(many=True, help_text="What people ask the agent; it may answer each once.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)


class IntentPage(serializers.Serializer):
    results = IntentShown(many=True)
    next = serializers.URLField(allow_null=True, help_text="Older ones; null on the last page.")
    previous = serializers.URLField(allow_null=True, help_text="Newer ones; null on the first page.")


class Cancellation(serializers.Serializer):
    reason = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=10_000)


class Attempt(serializers.Serializer):
    id = serializers.CharField()
    attempt = serializers.IntegerField(min_value=1)
    state = serializers.ChoiceField(ExecutionState.choices)
    lease_until = serializers.DateTimeField(
        allow_null=True, help_text="Report or send a heartbeat by then, or the execution becomes indeterminate."
    )


class PermitShown(serializers.Serializer):
    token = serializers.CharField(help_text="Shown once; send it as Zehrava-Permit.")
    execution = Attempt()
    payload = AnyJSON(allow_null=True)
    digest = serializers.CharField(help_text=DIGEST)


class Report(serializers.Serializer):
    outcome = serializers.ChoiceField(["succeeded", "failed"])
    result = AnyJSON(required=False, allow_null=True, help_text="At most 256 KiB.")


class KeyRef(serializers.Serializer):
    prefix = serializers.CharField()


class Me(serializers.Serializer):
    id = serializers.CharField()
    name = serializers.CharField()
    owner = serializers.CharField(help_text="The person who answers for the agent.")
    environment = serializers.CharField()
    key = KeyRef(help_text="The key this call was made with.")


EXAMPLE_PROPOSAL = OpenApiExample(
    "A refund",
    value={
        "action": "stripe.refund",
        "payload": {"charge": "ch_1", "amount": "120.00"},
        "summary": "The parcel never arrived.",
        "value": {"amount": "120.00", "currency": "EUR"},
        "expires_in": "15m",
    },
    request_only=True,
)
EXAMPLE_REPORT = OpenApiExample(
    "It worked", value={"outcome": "succeeded", "result": {"refund": "re_1"}}, request_only=True
)

_QUERY: Literal["query"] = "query"
_HEADER: Literal["header"] = "header"
PERMIT = OpenApiParameter(
    "Zehrava-Permit", str, _HEADER, required=True, description="The token that the claim handed out."
)
NO_BODY: Any = None


def several(name: str, choices: list[str], description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, _QUERY, many=True, enum=choices, description=description)


LIST = extend_schema(
    operation_id="intents_list",
    summary="List intents, newest first",
    description=(
        "An agent sees its own whatever it asks for; people with the permission to view intents see all. A page has"
        " fewer than `limit` where its intents are large: it ends with the one whose canonical text takes the page over"
        " 4 MiB. Follow `next` until it is null."
    ),
    auth=AGENTS + PEOPLE,
    parameters=[
        several("status", Status.values, "One or more, repeated or with commas between them."),
        several("risk", RiskLevel.values, "One or more levels."),
        OpenApiParameter("action", str, _QUERY, description="Exactly this action."),
        OpenApiParameter("agent", str, _QUERY, description="An agent's id or name."),
        OpenApiParameter("created_after", OpenApiTypes.DATETIME, _QUERY, description="At this time or later."),
        OpenApiParameter("created_before", OpenApiTypes.DATETIME, _QUERY, description="Before this time."),
        OpenApiParameter(
            "limit", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}, _QUERY, description="Page size."
        ),
        OpenApiParameter("cursor", str, _QUERY, description="From `next` or `previous` of an earlier answer."),
    ],
    responses=IntentPage,
    tags=["intents"],
)
PROPOSE = extend_schema(
    operation_id="intents_propose",
    summary="Propose an intent",
    description=(
        "The answer says `approved`, `blocked` with the reason, or `pending_approval`. The same key and body again get"
        " the stored answer."
    ),
    auth=AGENTS,
    request=Proposal,
    parameters=[
        OpenApiParameter(
            "Idempotency-Key",
            {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            _HEADER,
            description="Makes it safe to send again.",
        ),
        OpenApiParameter("Location", str, _HEADER, response=[200, 201], description="The intent's address."),
        OpenApiParameter(
            "Idempotency-Replayed", str, _HEADER, response=[200], description="`true` where this is the stored answer."
        ),
    ],
    responses={
        201: OpenApiResponse(IntentShown, description="A new intent."),
        200: OpenApiResponse(IntentShown, description="The same request was answered before, or waits already."),
    },
    examples=[EXAMPLE_PROPOSAL],
    tags=["intents"],
)
EVALUATE = extend_schema(
    operation_id="policies_evaluate",
    summary="Ask what policy would say; nothing is stored",
    description=(
        "An agent sends what it would propose and is told what it would get. People who write policies may say which"
        " agent they mean, try a draft, and state what is used of limits and what time it is."
    ),
    auth=AGENTS + PEOPLE,
    request=Evaluation,
    responses=Evaluated,
    examples=[EXAMPLE_PROPOSAL],
    tags=["policies"],
)
GET = extend_schema(
    operation_id="intents_get",
    summary="Read an intent, or wait for its status to change",
    auth=AGENTS + PEOPLE,
    parameters=[
        OpenApiParameter(
            "wait",
            {"type": "integer", "minimum": 0, "maximum": 60, "default": 0},
            _QUERY,
            description="Seconds for which the answer may be held until the status changes.",
        ),
        OpenApiParameter(
            "since",
            {"type": "string", "enum": list(Status.values)},
            _QUERY,
            description="The status you know of: where it is another by now, the answer is not held.",
        ),
    ],
    responses=IntentShown,
    tags=["intents"],
)
CANCEL = extend_schema(
    operation_id="intents_cancel",
    summary="Cancel an intent that has not begun to run",
    auth=AGENTS + PEOPLE,
    request=Cancellation,
    responses=IntentShown,
    tags=["intents"],
)
CLAIM = extend_schema(
    operation_id="intents_claim",
    summary="Claim the single permit to carry an approved intent out",
    auth=AGENTS,
    request=NO_BODY,
    responses={201: PermitShown},
    tags=["executions"],
)
HEARTBEAT = extend_schema(
    operation_id="executions_heartbeat",
    summary="Say that the execution still runs; moves lease_until",
    auth=AGENTS,
    request=NO_BODY,
    parameters=[PERMIT],
    responses=Attempt,
    tags=["executions"],
)
REPORT = extend_schema(
    operation_id="executions_report",
    summary="Report how the execution ended, once",
    auth=AGENTS,
    request=Report,
    parameters=[PERMIT],
    responses=IntentShown,
    examples=[EXAMPLE_REPORT],
    tags=["executions"],
)
ME = extend_schema(
    operation_id="agents_me", summary="Who this key belongs to", auth=AGENTS, responses=Me, tags=["agents"]
)
