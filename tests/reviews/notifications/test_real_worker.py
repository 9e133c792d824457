"""A real worker with its schedule, and a mail server on loopback."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator

import pytest

ARRANGE = """
from tests.factories import load_action_type, make_agent, make_user
from zehrava_site import roles
roles.install()
make_user("rita", "reviewers", email="rita@example.com")
load_action_type("name: a.b\\nexecutor: noop\\n")
make_agent("billing")
"""
PROPOSE = """
from audit.actors import Actor
from intents.agents import create_key
from intents.models import Agent
from tests.factories import make_intent
key = create_key(Agent.objects.get(), by=Actor.system("x"))[1]
print(make_intent(key, action="a.b").pk)
"""
APPROVE = """
from django.contrib.auth.models import User
from intents.models import Intent
from reviews.decisions import decide
intent = Intent.objects.get(pk={pk!r})
decide(intent.pk, by=User.objects.get(username="rita"), vote="approve", digest=intent.digest)
"""


class MailServer(socketserver.ThreadingTCPServer):
    """Takes mail, or takes connections and never says a word."""

    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    silent = False

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.connections = 0
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Conversation)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class _Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.server.connections += 1
        if self.server.silent:
            self.server.over.wait(60)
            return
        self._say("220 here")
        for line in iter(self.rfile.readline, b""):
            verb = line[:4].upper()
            if verb == b"DATA":
                self._say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(b"".join(lines).decode())
            self._say("221 bye" if verb == b"QUIT" else "250 fine")
            if verb == b"QUIT":
                return

    def _say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()


def start(start_portal, mail_server: MailServer):
    portal = start_portal(web=0, ZEHRAVA_EMAIL_URL=mail_server.url, ZEHRAVA_SWEEP_EVERY="1s")
    portal.shell(ARRANGE)
    portal.start_worker()
    portal.wait_until(lambda: _asked(portal, "Following.objects.exists()"), "worker")
    return portal


def _asked(portal, expression: str) -> bool:
    with contextlib.suppress(AssertionError):
        return portal.shell(
            f"from intents.models import Intent\nfrom reviews.models import Delivery, Following\nprint({expression})"
        ).startswith("True")
    return False


@pytest.mark.process
def test_what_waits_is_in_the_mailbox_by_itself(start_portal, mail_server):
    portal = start(start_portal, mail_server)
    pk = portal.shell(PROPOSE).strip()

    portal.wait_until(lambda: mail_server.mails, "worker")

    [mail] = mail_server.mails
    assert "To: rita@example.com" in mail and f"{portal.base_url}/admin/intents/intent/{pk}/change/" in mail


@pytest.mark.process
def test_a_mail_server_that_never_answers_keeps_nothing_from_being_carried_out(start_portal, mail_server):
    mail_server.silent = True
    portal = start(start_portal, mail_server)
    pk = portal.shell(PROPOSE).strip()
    portal.wait_until(lambda: mail_server.connections, "worker")

    # The worker hangs at the mail server now; the other hand carries out.
    portal.shell(APPROVE.format(pk=pk))
    portal.wait_until(lambda: _asked(portal, f"Intent.objects.get(pk={pk!r}).status == 'succeeded'"), "worker")

    portal.wait_until(lambda: _asked(portal, "Delivery.objects.exclude(trouble='').exists()"), "worker")
