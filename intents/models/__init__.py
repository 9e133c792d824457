"""Data and constraints; behaviour is in the modules named after it."""

from intents.models.agents import Agent, AgentKey
from intents.models.documents import ActionType, ActionTypeVersion, Policy, PolicyVersion
from intents.models.executions import Execution, ExecutionState
from intents.models.in_force import InForce
from intents.models.intents import ExecutionMode, IdempotencyKey, Intent, RiskLevel, Status

__all__ = [
    "ActionType",
    "ActionTypeVersion",
    "Agent",
    "AgentKey",
    "Execution",
    "ExecutionMode",
    "ExecutionState",
    "IdempotencyKey",
    "InForce",
    "Intent",
    "Policy",
    "PolicyVersion",
    "RiskLevel",
    "Status",
]
