"""One instant by which everything about an attempt has ended, however slowly the other side drips."""

import time


class Deadline:
    """So many seconds from now, by a clock that nobody can set back."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that remain; raises TimeoutError once there are none."""
        seconds = self._at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("out of time")
        return seconds
