"""SQLite has one writer at a time, and who finds it busy sleeps and looks again, longer each time.

With a few threads and processes that propose at once, that is where the time goes: the lock stands free while everyone
sleeps, and the unlucky wait for a second. So a transaction first takes its turn at a lock file beside the database
(flock(2)): the kernel wakes the next one the moment the turn is over, and gives the turn of a process that died to
the next. It is a queue and nothing else; what keeps transactions apart is still SQLite.
"""

import fcntl
import os

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    _turn: int | None = None

    def _start_transaction_under_autocommit(self) -> None:
        self._take_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def close(self) -> None:
        try:
            super().close()
        finally:
            # Inside an atomic block Django only marks the connection, and the transaction goes on.
            if self.connection is None:
                self._end_turn()

    def _take_turn(self) -> None:
        if self._turn is not None or self.is_in_memory_db():
            return
        # A descriptor of its own for every turn: a lock belongs to the descriptor, so threads queue like processes.
        turn = os.open(f"{self.settings_dict['NAME']}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
        except BaseException:
            os.close(turn)
            raise
        self._turn = turn

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            os.close(turn)
