"""The admin pages of this app; intents themselves are shown by the approval desk, in `reviews`."""

# Each registers its pages.
from intents import (  # noqa: F401
    action_type_admin,
    agent_admin,
    execution_admin,
    policy_admin,
    reading_admin,
)
