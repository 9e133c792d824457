"""The broker that needs no server: messages are files in a folder, made visible whole and taken by one.

kombu's own file transport shows a message under its final name while it is still empty; a worker that looks in that
moment takes it, reads nothing, and ends. Here a message is written under a hidden name and renamed (POSIX: a rename is
atomic), and what cannot be read is put aside with a line in the log.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

logger = logging.getLogger(__name__)

ATTEMPTS = 20
PAUSE = 0.01  # seconds


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        name = f"{time.time_ns():020}_{uuid.uuid4().hex}.{queue}.msg"
        hidden = folder / f".{name}.new"
        try:
            hidden.write_text(dumps(payload), encoding="utf-8")
            hidden.rename(folder / name)
        except OSError as error:
            hidden.unlink(missing_ok=True)
            raise ChannelError(f"Cannot add a message to {folder}: {error.strerror}") from error

    def _get(self, queue: str) -> Any:  # type: ignore[override]
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = folder / f".{name}.{uuid.uuid4().hex}"
            try:
                (folder / name).rename(taken)
            except OSError:
                continue  # another worker was quicker
            try:
                return loads(taken.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                logger.error("a message cannot be read and is dropped, the sweeper sends it again: %s", error)
            finally:
                taken.unlink(missing_ok=True)
        raise Empty

    def get_table(self, exchange: str) -> Any:
        # kombu writes this file in place, so that it may be seen empty for a moment when it is first made.
        for attempt in range(ATTEMPTS):
            try:
                return super().get_table(exchange)
            except json.JSONDecodeError:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(PAUSE)
        raise AssertionError("unreachable")

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        for attempt in range(ATTEMPTS):
            try:
                super()._queue_bind(exchange, routing_key, pattern, queue)
                return
            except json.JSONDecodeError:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(PAUSE)


class Transport(filesystem.Transport):
    Channel = Channel
