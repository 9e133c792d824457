from django.db import models
from django.db.models import Q


class InForce(models.Model):
    """One row whose version moves with every change of keys, agents, policies and action types.

    Each request reads it, so that a revoked key or a suspended agent counts everywhere at once.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.PositiveBigIntegerField(default=1)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="in_force_is_one_row")]

    def __str__(self) -> str:
        return f"in force: version {self.version}"
