"""What an agent can learn about itself."""

from rest_framework.request import Request
from rest_framework.response import Response

from intents.api import schema
from intents.api.callers import IS_AGENT, agent_of
from intents.api.view import View, query


class MeView(View):
    """`/agents/me`"""

    open_to = {"GET": (IS_AGENT,)}

    @schema.ME
    def get(self, request: Request) -> Response:
        query(request)
        agent = agent_of(request)
        return Response(
            {
                "id": agent.id,
                "name": agent.name,
                "owner": agent.owner_name,
                "environment": agent.environment,
                "key": {"prefix": agent.key_prefix},
            }
        )
