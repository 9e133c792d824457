"""Sends one message by Django's mail backend, exactly as the payload names it.

Payload: `to` (an address or a list), `subject`, `body` (plain text), and optionally `cc`, `bcc` and `reply_to` (an
address or a list each); any other field is refused, since it would be approved and then not done. Settings of the
action type: `from` (else `DEFAULT_FROM_EMAIL`) and `allowed_domains`, outside of which nobody is written to.

| what happened | outcome | because |
| --- | --- | --- |
| payload or sender unusable, no mail server, refused before the text was sent | failed | nothing can be delivered |
| the server accepted the message for everybody | succeeded | from then on delivery is its duty (RFC 5321, 4.2.5) |
| the server took the text and refused it for good (5xx) | failed | it must not deliver what it refused |
| the server accepted only some of the recipients | indeterminate | neither is true; the result lists the others |
| cut off, a temporary refusal or an exception once the text was going out | indeterminate | it may have been accepted |

With SMTP each step is taken here, because Django's backend forgets which recipients were refused, and because only the
step tells whether an error came before the text. Any other backend is asked to send, and believed.
"""

import re
import smtplib
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend

from intents.executors.deadline import Deadline
from intents.executors.orders import NotBegun, Order, Outcome, before_the_effect
from zehrava import canonical

MAX_RECIPIENTS = 10_000
LISTED = 1_000

_FIELDS = frozenset({"to", "subject", "body", "cc", "bcc", "reply_to"})
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# A bare address: no display name that says something else, no quotes, comments or line ends that a mail program
# could read differently. Other scripts are written as xn-- after the @ and cannot stand before it.
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_NAME}(?:\.{_NAME})*", re.ASCII | re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def carry_out(order: Order, *, seconds: float) -> Outcome:
    """Send the order's message within that many seconds; raises NotBegun where nothing was sent."""
    deadline = Deadline(seconds)
    with before_the_effect():
        message = _message(order)
        content = message.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]  # Django's own signature
        result = {"message_id": message.extra_headers["Message-ID"], "recipients": len(message.recipients())}
        backend: BaseEmailBackend = get_connection(fail_silently=False)
        deadline.left()
    # A subclass may sign or reroute what it sends: those are asked like any other backend.
    if type(backend) is SMTPBackend:
        return _by_smtp(backend, message, content, deadline, result)
    return _by_backend(backend, message, result)


def _by_backend(backend: BaseEmailBackend, message: EmailMessage, result: dict[str, Any]) -> Outcome:
    sent = backend.send_messages([message])
    if sent == 1:
        return Outcome("succeeded", result | {"accepted": result["recipients"]})
    return Outcome("indeterminate", result | {"error": "The mail backend did not say that it sent the message."})


# --- SMTP ----------------------------------------------------------------------------------------------------------


def _by_smtp(
    backend: SMTPBackend, message: EmailMessage, content: bytes, deadline: Deadline, result: dict[str, Any]
) -> Outcome:
    recipients = message.recipients()
    sender = parseaddr(message.from_email)[1]
    try:
        backend.timeout = min(backend.timeout or deadline.left(), deadline.left())
        backend.open()
        smtp = backend.connection
        if smtp is None:
            raise NotBegun("The mail server could not be reached; nothing was sent.")
        refused = _envelope(smtp, sender, recipients, len(content), deadline)
    except NotBegun:
        _hang_up(backend)
        raise
    except Exception as error:
        _hang_up(backend)
        raise NotBegun(
            f"The mail server could not be spoken to ({type(error).__name__}); nothing was sent.", **result
        ) from error
    result["accepted"] = len(recipients) - len(refused)
    if refused:
        result |= _listed(refused)
    try:
        return _text(smtp, content, result)
    finally:
        _hang_up(backend)


def _envelope(smtp: smtplib.SMTP, sender: str, recipients: list[str], size: int, deadline: Deadline) -> dict[str, int]:
    """Name the sender and the recipients; returns those refused with the code; raises NotBegun if nobody is left."""
    smtp.ehlo_or_helo_if_needed()
    options = [f"size={size}"] if smtp.does_esmtp and smtp.has_extn("size") else []
    code, _ = smtp.mail(sender, options)
    if code != 250:
        raise NotBegun(f"The mail server refused the sender or the message's size with {code}; nothing was sent.")
    refused: dict[str, int] = {}
    for recipient in recipients:
        _bound(smtp, deadline)
        code, _ = smtp.rcpt(recipient)
        if code not in (250, 251):
            refused[recipient] = code
        if code == 421:
            raise NotBegun("The mail server hung up; nothing was sent.")
    if len(refused) == len(recipients):
        raise NotBegun("The mail server refused every recipient; nothing was sent.", accepted=0, **_listed(refused))
    _bound(smtp, deadline)
    return refused


def _text(smtp: smtplib.SMTP, content: bytes, result: dict[str, Any]) -> Outcome:
    """Send the text; from here on only an answer of the server tells what happened."""
    try:
        code, _ = smtp.data(content)
    except smtplib.SMTPDataError as refusal:
        # The server did not even ask for the text.
        raise NotBegun(
            f"The mail server refused the message with {refusal.smtp_code}; nothing was sent.",
            **result | {"accepted": 0},
        ) from refusal
    except Exception as error:
        why = f"The connection broke while the message went out ({type(error).__name__}); it may have been accepted."
        return Outcome("indeterminate", result | {"error": why})
    if 500 <= code <= 599:
        return Outcome("failed", result | {"accepted": 0, "error": f"The mail server refused the message with {code}."})
    if code != 250:
        why = f"The mail server answered {code} to the message; it may have been accepted."
        return Outcome("indeterminate", result | {"error": why})
    if "refused" in result:
        why = "The message went out, but not to everybody: the mail server refused some recipients."
        return Outcome("indeterminate", result | {"error": why})
    return Outcome("succeeded", result)


def _bound(smtp: smtplib.SMTP, deadline: Deadline) -> None:
    """Let the next step take no longer than what remains; raises TimeoutError when nothing does."""
    left = deadline.left()
    if smtp.sock is not None:
        smtp.sock.settimeout(left)


def _hang_up(backend: SMTPBackend) -> None:
    """Close without a word: a polite QUIT could wait for an answer, and what is known is known by now."""
    # A connection that broke while it was set up is kept apart by Django.
    for connection in (backend.connection, getattr(backend, "_partial_connection", None)):
        if connection is not None:
            connection.close()
    backend.connection = None


def _listed(refused: dict[str, int]) -> dict[str, Any]:
    listed = [{"address": address, "code": code} for address, code in list(refused.items())[:LISTED]]
    return {"refused": listed, "refused_count": len(refused)}


# --- the message ---------------------------------------------------------------------------------------------------


def _message(order: Order) -> EmailMessage:
    """The message that the payload names; raises NotBegun, with the path, for one that cannot be sent as it is."""
    payload = order.payload
    if not isinstance(payload, dict):
        raise NotBegun("The payload must be an object with to, subject and body.", path="")
    for name in sorted(payload.keys() - _FIELDS):
        raise NotBegun(
            f"The e-mail executor does not know the field {name!r:.80}; nothing was sent.", path=canonical.pointer(name)
        )
    subject, body = _line(payload, "subject"), payload.get("body")
    if not isinstance(body, str):
        raise NotBegun("The body must be text.", path="/body")
    to, cc, bcc = _addresses(payload, "to"), _addresses(payload, "cc"), _addresses(payload, "bcc")
    if not to:
        raise NotBegun("Name at least one recipient in to.", path="/to")
    _check_recipients(to + cc + bcc, order.settings.get("allowed_domains"))
    sender = _sender(order)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    return EmailMessage(
        subject=subject,
        # Mail has one kind of line end; a lone CR or LF must not be another program's end of text.
        body=body.replace("\r\n", "\n").replace("\r", "\n"),
        from_email=sender,
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=_addresses(payload, "reply_to"),
        headers={"Message-ID": f"<{order.intent_id}.{order.attempt}@{domain}>", "X-Zehrava-Intent": order.intent_id},
    )


def _sender(order: Order) -> str:
    sender = order.settings.get("from") or settings.DEFAULT_FROM_EMAIL
    if not isinstance(sender, str) or _CONTROL.search(sender) or not _ADDRESS.fullmatch(parseaddr(sender)[1]):
        raise NotBegun("The sender, from the action type or ZEHRAVA_FROM_EMAIL, is no e-mail address.")
    return sender


def _line(payload: dict[str, Any], name: str) -> str:
    text = payload.get(name)
    if not isinstance(text, str) or _CONTROL.search(text):
        raise NotBegun(f"The {name} must be text on one line, without control characters.", path=f"/{name}")
    return text


def _addresses(payload: dict[str, Any], name: str) -> list[str]:
    given = payload.get(name, [])
    many = [given] if isinstance(given, str) else given
    if not isinstance(many, list):
        raise NotBegun(f"{name} must be an address or a list of addresses.", path=f"/{name}")
    for index, address in enumerate(many):
        if not isinstance(address, str) or len(address) > 254 or not _ADDRESS.fullmatch(address):
            path = f"/{name}" if many is not given else f"/{name}/{index}"
            raise NotBegun("This is no bare e-mail address, like ann@example.com.", path=path)
    return many


def _check_recipients(recipients: list[str], allowed: Any) -> None:
    if len(recipients) > MAX_RECIPIENTS:
        raise NotBegun(f"One message goes to {MAX_RECIPIENTS:,} recipients at most; this names {len(recipients):,}.")
    if len({address.lower() for address in recipients}) != len(recipients):
        raise NotBegun("A recipient is named twice in to, cc and bcc.")
    if allowed is None:
        return
    domains = {domain.lower() for domain in allowed if isinstance(domain, str)} if isinstance(allowed, list) else set()
    for address in recipients:
        if address.rpartition("@")[2].lower() not in domains:
            raise NotBegun(f"{address} is outside the domains that the action type allows; nothing was sent.")
