"""Policies of others in our grammar: ``gate``, ``rebuno`` and ``agt`` take a document and the name of the new policy.

Each returns `Imported`. Nothing comes out weaker than it went in, in the order allow, ask, block; what could not be
carried over is listed, never left out in silence.
"""

from .agt import agt
from .gate import gate
from .imported import Imported, Remark
from .rebuno import rebuno

__all__ = ["Imported", "Remark", "agt", "gate", "rebuno"]
