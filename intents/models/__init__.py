"""Data and constraints; behaviour is in the modules named after it."""

from intents.models.activation import ActivationRequest, RequestState
from intents.models.agents import Agent, AgentKey
from intents.models.amendments import Amendment
from intents.models.documents import ActionType, ActionTypeVersion, Policy, PolicyVersion
from intents.models.executions import Execution, ExecutionState
from intents.models.in_force import InForce
from intents.models.intents import ExecutionMode, IdempotencyKey, Intent, RiskLevel, Sensitivity, Status
from intents.models.limits import LimitUse
from intents.models.proving import Backtest, BacktestDifference, BacktestState, Change, ShadowVerdict
from intents.models.reading import ReadingRule

__all__ = [
    "ActionType",
    "ActionTypeVersion",
    "ActivationRequest",
    "Agent",
    "AgentKey",
    "Amendment",
    "Backtest",
    "BacktestDifference",
    "BacktestState",
    "Change",
    "Execution",
    "ExecutionMode",
    "ExecutionState",
    "IdempotencyKey",
    "InForce",
    "Intent",
    "LimitUse",
    "Policy",
    "PolicyVersion",
    "ReadingRule",
    "RequestState",
    "RiskLevel",
    "Sensitivity",
    "ShadowVerdict",
    "Status",
]
