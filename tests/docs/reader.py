"""A reader who types every command of a page, in order, against a real portal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.docs.reading import Block
from tests.portal import ROOT, Portal

ADDRESS = "http://127.0.0.1:8000"
# `…` after one of these stands for the last such text that the page printed.
_SEEN = re.compile(r"\b(?P<prefix>zhv_|zhp_|zhx_|int_|exe_|sha256:)[A-Za-z0-9_-]{20,}(?!…)")
_PLACEHOLDER = re.compile(r"(?P<prefix>zhv_|zhp_|zhx_|int_|exe_|sha256:)…")
PATIENCE = 90


class Reader:
    """Runs blocks in a folder that looks like the checkout, so that what they write is gone afterwards."""

    def __init__(self, portal: Portal, folder: Path, tokens: dict[str, str]) -> None:
        self.portal = portal
        self.folder = folder
        self.tokens = tokens
        self.seen: dict[str, str] = {}
        # Up to date before it is lent: a block's own `make` would install the folder's links into it.
        subprocess.run(["make", "--silent", "environment"], cwd=ROOT, check=True)
        folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in ("var", ".git"):
                (folder / entry.name).symlink_to(entry)
        (folder / "var").symlink_to(portal.data_dir)

    def run(self, block: Block) -> str:
        """Run one block and return what it printed. Raises AssertionError where it fails, or an answer is a problem."""
        text = self._filled(block)
        with self._voting(block):
            if block.language == "python":
                path = self.folder / f"block_{block.line}.py"
                path.write_text(text)
                command = [sys.executable, str(path)]
            else:
                command = ["bash", "-euo", "pipefail", "-c", text]
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**self.portal.environment, "PORT": str(self.portal.port), "NO_PROXY": "*"},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        assert done.returncode == 0, f"{block}\n{text}\n{done.stdout}\n{done.stderr}"
        assert "urn:zehrava:problem:" not in done.stdout, f"{block}\n{text}\n{done.stdout}"
        for match in _SEEN.finditer(done.stdout):
            # Of an answer's digests the first is the intent's; of keys and ids the last is the newest.
            if match["prefix"] != "sha256:" or f"sha256: {block}" not in self.seen:
                self.seen[match["prefix"]] = match[0]
                self.seen[f"{match['prefix']} {block}"] = match[0]
        return done.stdout

    def _filled(self, block: Block) -> str:
        def known(match: re.Match[str]) -> str:
            assert match["prefix"] in self.seen, f"{block}: nothing before it printed {match[0]}"
            return self.seen[match["prefix"]]

        return _PLACEHOLDER.sub(known, block.text.replace(ADDRESS, self.portal.base_url))

    @contextmanager
    def _voting(self, block: Block) -> Iterator[None]:
        """Let somebody decide on what is proposed while the block runs."""
        if block.meanwhile is None:
            yield
            return
        who, vote = block.meanwhile
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        with httpx.Client(base_url=f"{self.portal.base_url}/api/v1", headers=headers, timeout=30) as person:
            before = {intent["id"] for intent in _queue(person)}
            over = threading.Event()
            thread = threading.Thread(target=_vote, args=(person, vote, before, over))
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()


def _queue(person: httpx.Client) -> list[dict]:
    return person.get("/queue", params={"limit": 200}).raise_for_status().json()["results"]


def _vote(person: httpx.Client, vote: str, before: set[str], over: threading.Event) -> None:
    while not over.wait(0.2):
        for intent in _queue(person):
            if intent["id"] not in before:
                said = {"vote": vote, "digest": intent["digest"], "rationale": "Read in a test."}
                person.post(f"/intents/{intent['id']}/decisions", json=said).raise_for_status()


def typed_by_a_newcomer() -> dict[str, str]:
    """The environment of somebody who has only just cloned: nothing of the portal's, nothing of the tests'."""
    dropped = ("ZEHRAVA_", "DJANGO_", "PYTEST_", "VIRTUAL_ENV", "PYTHONPATH", "MAKE")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
