"""How a client waits for an intent: long polls, patient with a portal that falters, never a busy loop."""

from __future__ import annotations

from collections.abc import Callable

from zehrava import calls
from zehrava.errors import ApiError, ServerError, TooManyRequests, Unreachable, WaitTimeout, ZehravaError
from zehrava.views import FINISHED, PENDING, IntentView

# Seconds for which the portal holds one answer back, at most (`GET /intents/{id}?wait=`).
LONGEST_WAIT = 60
SHORTEST_PAUSE = 0.2
LONGEST_PAUSE = 2.0


def settled(intent: IntentView) -> bool:
    """Whether the intent is no longer waiting for a decision."""
    return intent.status != PENDING


def finished(intent: IntentView) -> bool:
    """Whether nothing more happens to the intent, or nothing before a person acts."""
    return intent.status in FINISHED


class Waiting:
    """One wait: what to ask next and how long to pause; the clients only do the asking and the sleeping.

    `timeout` in seconds; `clock` a monotonic clock in seconds. Raises WaitTimeout from `pause_*` when it is over.
    """

    def __init__(
        self, intent: IntentView, timeout: float, done: Callable[[IntentView], bool], clock: Callable[[], float]
    ) -> None:
        if not timeout >= 0:  # also refuses NaN, which would never be over
            raise ValueError("timeout is a number of seconds from 0 on.")
        self._intent_id = intent.id
        self._known = intent.status
        self._timeout = timeout
        self._done = done
        self._clock = clock
        self._deadline = clock() + timeout
        self._pause = SHORTEST_PAUSE
        self._asked_at = 0.0
        self._hold = 0

    def done(self, intent: IntentView) -> bool:
        self._known = intent.status
        return self._done(intent)

    def next_call(self) -> calls.Call:
        """The next look. It says which status is known: what moved before it is asked is answered at once."""
        self._asked_at = self._clock()
        remaining = max(0.0, self._deadline - self._asked_at)
        self._hold = int(min(calls.LONG_POLL, remaining))
        return calls.get(self._intent_id, self._hold, self._known)

    def time_for(self, timeout: float) -> float:
        """The seconds this look may take, given the client's own time-out: never far beyond the deadline."""
        remaining = max(0.0, self._deadline - self._clock())
        return min(self._hold + timeout, remaining + 1.0)

    def pause_after_answer(self) -> float:
        """The pause after an answer that changed nothing; none where the portal held it back as asked."""
        if self._deadline <= self._clock():
            raise WaitTimeout(self._intent_id, self._timeout)
        held = self._clock() - self._asked_at
        if self._hold and held >= self._hold * 0.9:
            self._pause = SHORTEST_PAUSE
            return 0.0
        return self._grow()

    def pause_after(self, error: ZehravaError) -> float:
        """The pause after a failure that may pass; raises any other failure as it is."""
        passing = isinstance(error, Unreachable | ServerError | TooManyRequests)
        if not passing:
            raise error
        if self._deadline <= self._clock():
            raise WaitTimeout(self._intent_id, self._timeout) from error
        asked = error.retry_after if isinstance(error, ApiError) else None
        return min(max(self._grow(), asked or 0.0), max(SHORTEST_PAUSE, self._deadline - self._clock()))

    def _grow(self) -> float:
        # At least the shortest pause even next to the deadline, or the end of every wait would be a busy loop.
        pause = min(self._pause, max(SHORTEST_PAUSE, self._deadline - self._clock()))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return pause
