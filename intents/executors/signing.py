"""How a target knows that a request came from this portal: Standard Webhooks, symmetric (`v1`).

The signed text is `{webhook-id}.{webhook-timestamp}.{body}`, the signature HMAC-SHA-256. A target verifies with any
Standard Webhooks library, the secret of `verification_secret()`, the raw body and the three `webhook-*` headers:

    from standardwebhooks import Webhook
    Webhook("whsec_…").verify(body, headers)

It must also remember `webhook-id` (the same text as `Idempotency-Key`: intent id and attempt) and act once per id;
the signature alone lets a recorded request be played again for five minutes.

`ZEHRAVA_SIGNING_SECRET` is either a `whsec_…` text, taken as that scheme reads it, or any other text, whose UTF-8
bytes are the key.
"""

import base64
from datetime import UTC, datetime

from django.conf import settings
from standardwebhooks.webhooks import Webhook

_PREFIX = "whsec_"


def verification_secret() -> str:
    """The signing secret in the form that Standard Webhooks libraries take; hand it to targets, show it to nobody."""
    secret: str = settings.ZEHRAVA_SIGNING_SECRET
    if secret.startswith(_PREFIX):
        return secret
    return _PREFIX + base64.b64encode(secret.encode()).decode()


def sign(body: bytes, *, message_id: str) -> dict[str, str]:
    """The three headers that prove this UTF-8 body and this id to be ours, as of now.

    Raises ValueError for a secret or a body that cannot be used.
    """
    now = datetime.now(UTC)
    signature = Webhook(verification_secret()).sign(msg_id=message_id, timestamp=now, data=body.decode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
