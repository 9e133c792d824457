"""The demo's policies and action types: those of the gallery in docs/policies."""

from pathlib import Path

from django.conf import settings
from django.db import transaction

from audit.actors import Actor
from intents import documents, parsing
from intents.models import ActionType, Policy


@transaction.atomic
def load_gallery(*, by: Actor) -> list[str]:
    """Store and activate the gallery's documents; returns the names of those that are new.

    What exists under a name stays as it is: somebody may have edited or disabled it.
    """
    gallery = Path(settings.BASE_DIR) / "docs" / "policies"
    loaded = []
    for path in sorted((gallery / "action-types").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        if not ActionType.objects.filter(name=documents.parse_action_type(text).name).exists():
            loaded.append(documents.save_action_type(text, by=by, user=None).action_type.name)
    for path in sorted(gallery.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        if not Policy.objects.filter(name=parsing.parse_policy(text).name).exists():
            loaded.append(documents.save_policy(text, by=by, user=None).policy.name)
    return loaded
