"""The policy engine: strict documents, compiled CEL conditions, deterministic verdicts. No Django in it."""

from .document import load_policy, parse_policy
from .errors import DocumentError, Fault, PolicyError
from .limits import Limit, LimitError, Meter, Use
from .policy_set import PolicySet
from .requirements import Requirement
from .rules import Policy, Rule
from .verdicts import ALLOW, ASK, BLOCK, EFFECTS, Verdict

__all__ = [
    "ALLOW",
    "ASK",
    "BLOCK",
    "EFFECTS",
    "DocumentError",
    "Fault",
    "Limit",
    "LimitError",
    "Meter",
    "Policy",
    "PolicyError",
    "PolicySet",
    "Requirement",
    "Rule",
    "Use",
    "Verdict",
    "load_policy",
    "parse_policy",
]
