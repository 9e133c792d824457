"""Uses of limits: what has passed under a rule that bounds how much may pass."""

from decimal import Context, Decimal
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

PLACES = 12
DIGITS = 42
_EXACT = Context(prec=DIGITS)


class ExactDecimal(models.DecimalField):
    """A decimal that is stored as it is: `numeric` on PostgreSQL, on SQLite text with every one of its places.

    SQLite's own numbers keep 15 digits.
    """

    def get_internal_type(self) -> str:
        # Not DecimalField: Django would read SQLite's text as a float.
        return "ExactDecimal"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        if connection.vendor == "sqlite":
            return "text"
        return f"numeric({self.max_digits}, {self.decimal_places})"

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        value = super().get_db_prep_value(value, connection, prepared)
        if connection.vendor != "sqlite" or value is None:
            return value
        return format(Decimal(value).quantize(Decimal(1).scaleb(-self.decimal_places), context=_EXACT), "f")

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Decimal | None:
        return value if value is None or isinstance(value, Decimal) else Decimal(value)


class LimitUse(models.Model):
    """What one intent used of what is counted under one `counter`. It is never given back.

    Housekeeping, not history: the ledger's line of the proposal names the same uses for ever, and rows that are older
    than any limit looks back are dropped.
    """

    counter = models.CharField(max_length=71)
    # Empty where it counts; what a draft would have counted beside the policies in force has a name of its own.
    namespace = models.CharField(max_length=80, default="", blank=True)
    amount = ExactDecimal(max_digits=DIGITS, decimal_places=PLACES)
    at = models.DateTimeField()
    # Looked up by the index of the constraint below.
    intent = models.ForeignKey("intents.Intent", on_delete=models.PROTECT, related_name="limit_uses", db_index=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["intent", "counter", "namespace"], name="limit_use_once"),
        ]
        indexes = [
            # Proposing: what was used of one counter since the window began.
            models.Index(fields=["counter", "namespace", "at", "amount"], name="limit_use_window"),
            # The sweeper: what no limit looks back at any more.
            models.Index(fields=["at"], name="limit_use_old"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} by {self.intent_id}"
