"""The admin pages of this app; intents themselves are shown by the approval desk, in `reviews`."""

from intents import agent_admin, document_admin, execution_admin  # noqa: F401  (each registers its pages)
