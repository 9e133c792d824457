"""The policy engine: strict documents, compiled CEL conditions, deterministic verdicts. No Django in it."""

from .document import Policy, Rule
from .errors import DocumentError, Fault, PolicyError
from .evaluation import PolicySet
from .verdicts import ALLOW, ASK, BLOCK, EFFECTS, Requirement, Verdict

__all__ = [
    "ALLOW",
    "ASK",
    "BLOCK",
    "EFFECTS",
    "DocumentError",
    "Fault",
    "Policy",
    "PolicyError",
    "PolicySet",
    "Requirement",
    "Rule",
    "Verdict",
]
