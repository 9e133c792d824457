"""Loading documents from files: all are read and checked before the first is stored."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from audit.actors import Actor
from intents import documents
from intents.management.answering import Answer
from intents.models import ActionType, ActionTypeVersion, Policy, PolicyVersion
from zehrava.policy.errors import DocumentError


def load_policies(paths: Iterable[Path], *, by: Actor) -> Answer:
    """Store and activate policies from files. Raises CommandError, and stores nothing, if any cannot be read."""
    return _load(
        paths,
        parse=documents.parse_policy,
        save=documents.save_policy,
        versions_of=lambda name: PolicyVersion.objects.filter(policy__name=name),
        disabled=lambda name: Policy.objects.filter(name=name, active=None).exists(),
        by=by,
    )


def load_action_types(paths: Iterable[Path], *, by: Actor) -> Answer:
    """Store and activate action types from files. Raises CommandError, and stores nothing, if any cannot be read."""
    return _load(
        paths,
        parse=documents.parse_action_type,
        save=documents.save_action_type,
        versions_of=lambda name: ActionTypeVersion.objects.filter(action_type__name=name),
        disabled=lambda name: ActionType.objects.filter(name=name, active=None).exists(),
        by=by,
    )


def _load(
    paths: Iterable[Path],
    *,
    parse: Callable[[str], Any],
    save: Callable[..., Any],
    versions_of: Callable[[str], Any],
    disabled: Callable[[str], bool],
    by: Actor,
) -> Answer:
    texts = _read_all(paths, parse)
    loaded, lines = [], []
    with transaction.atomic():
        for name, (path, text) in texts.items():
            known = set(versions_of(name).values_list("number", flat=True))
            was_disabled = disabled(name)
            version = save(text, by=by, user=None)
            new = version.number not in known
            loaded.append(
                {"file": str(path), "name": name, "version": version.number, "digest": version.digest, "new": new}
            )
            how = "new" if new else "in force again" if was_disabled else "unchanged"
            lines.append(f"{name} v{version.number}: {how} ({path})")
    return Answer({"loaded": loaded}, "\n".join(lines))


def _read_all(paths: Iterable[Path], parse: Callable[[str], Any]) -> dict[str, tuple[Path, str]]:
    """Each file's text by the name of its document; every fault of every file is reported at once."""
    texts: dict[str, tuple[Path, str]] = {}
    faults = []
    for path in paths:
        try:
            text = path.read_bytes().decode()
            name = parse(text).name
        except OSError as error:
            faults.append(f"{path}: cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            faults.append(f"{path}: is not UTF-8 at byte {error.start}: save it as UTF-8")
        except DocumentError as error:
            faults.extend(f"{path}:{fault}" for fault in error.errors)
        else:
            if name in texts and texts[name][0] != path:
                faults.append(f"{path}: is called {name!r} as {texts[name][0]} is: give one of them another name")
            texts[name] = (path, text)
    if faults:
        raise CommandError("\n".join([*faults, "Nothing was stored."]))
    return texts
