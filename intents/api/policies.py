"""What policy would say, without anything being stored."""

from rest_framework.request import Request
from rest_framework.response import Response

from intents import evaluating, in_force
from intents.api import schema
from intents.api.callers import IS_AGENT, PersonWith, agent_of, in_force_for
from intents.api.view import View, query
from zehrava.problems import Problem

MAY_CHANGE_POLICIES = PersonWith("intents.change_policy", "people who may change policies")
MAY_ADD_POLICIES = PersonWith("intents.add_policy", "people who may write new ones")


class EvaluateView(View):
    """`/policies/evaluate`"""

    open_to = {"POST": (IS_AGENT, MAY_CHANGE_POLICIES, MAY_ADD_POLICIES)}
    problems = {"POST": ("csrf", "no-executor")}

    @schema.EVALUATE
    def post(self, request: Request) -> Response:
        query(request)
        body = request.data
        if request.stream is None:
            raise Problem("malformed-json", "The body is empty; send a JSON object.", path="")
        if IS_AGENT.admits(request):
            return Response(evaluating.evaluate_as(agent_of(request), body, snapshot=in_force_for(request)))
        return Response(evaluating.evaluate_for_author(body, snapshot=in_force.current()))
