"""The policy engine: strict documents, compiled CEL conditions, deterministic verdicts. No Django in it."""

from .document import Policy, Rule
from .errors import DocumentError, Fault, PolicyError
from .evaluation import PolicySet
from .limits import Limit, LimitError, Meter, Use
from .requirements import Requirement
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
]
