"""What anybody may read: the keys by which everything that this portal signed is verified."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from audit import signing
from zehrava import canonical

# A new key is known everywhere so soon; who misses one asks again.
SECONDS = 300


@require_safe
@cache_control(public=True, max_age=SECONDS)
def jwks(request: HttpRequest) -> HttpResponse:
    """`/.well-known/jwks.json`: every public key that ever signed, RFC 7517."""
    return HttpResponse(canonical.dumps(signing.key_set()), content_type="application/jwk-set+json")
