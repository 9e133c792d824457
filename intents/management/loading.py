"""Loading documents from files: all are read and checked before the first is stored."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import Max

from audit.actors import Actor
from audit.models import Event
from intents import documents
from intents.management.answering import Answer
from intents.models import ActionType, Policy
from zehrava.policy.errors import DocumentError


@dataclass(frozen=True)
class Kind:
    """What policies and action types have of their own, for loading them."""

    stored: type[Policy] | type[ActionType]
    parse: Callable[[str], Any]
    save: Callable[..., Any]
    # Events that say who last brought a version into force, or took the document out of it.
    pointed: tuple[str, str]


POLICIES = Kind(Policy, documents.parse_policy, documents.save_policy, ("policy.activated", "policy.disabled"))
ACTION_TYPES = Kind(
    ActionType,
    documents.parse_action_type,
    documents.save_action_type,
    ("action_type.activated", "action_type.retired"),
)


@dataclass(frozen=True)
class Before:
    """How a document stood before it was loaded: the number of its version in force, if one was, and who saw to it."""

    number: int | None
    text: str | None
    by: str
    by_person: bool

    @property
    def told(self) -> str:
        return f"v{self.number} by {self.by}"


def load_policies(paths: Iterable[Path], *, by: Actor, replace: bool = False) -> Answer:
    """Store and activate policies from files; with `replace` also where a person saw last to what is in force.

    Raises CommandError, and stores nothing, if any cannot be read or would undo what a person did.
    """
    return _load(paths, POLICIES, by=by, replace=replace)


def load_action_types(paths: Iterable[Path], *, by: Actor, replace: bool = False) -> Answer:
    """Store and activate action types from files, as `load_policies` does policies."""
    return _load(paths, ACTION_TYPES, by=by, replace=replace)


@transaction.atomic
def _load(paths: Iterable[Path], kind: Kind, *, by: Actor, replace: bool) -> Answer:
    texts = _read_all(paths, kind.parse)
    before = {name: _before(kind, name) for name in texts}
    if not replace:
        _refuse_to_undo(texts, before)
    loaded, lines = [], []
    for name, (path, text) in texts.items():
        was = before[name]
        newest = was and _newest(kind, name)
        version = kind.save(text, by=by, user=None)
        new = newest is None or version.number > newest
        replaced = was if was and was.number not in (None, version.number) else None
        loaded.append(
            {
                "file": str(path),
                "name": name,
                "version": version.number,
                "digest": version.digest,
                "new": new,
                "replaces": {"version": replaced.number, "by": replaced.by} if replaced else None,
            }
        )
        if replaced:
            how = f"replaces {replaced.told}"
        elif was and was.number is None:
            how = "in force again"
        else:
            how = "new" if new else "unchanged"
        lines.append(f"{name} v{version.number}: {how} ({path})")
    return Answer({"loaded": loaded}, "\n".join(lines))


def _before(kind: Kind, name: str) -> Before | None:
    """How the document of that name stands, locked until it is loaded; None where there is none."""
    stored: Any = kind.stored._default_manager.select_for_update().filter(name=name).first()
    if stored is None:
        return None
    # Who moved the pointer, not who wrote the text: going back to an older version is a person's decision too.
    pointed = Event.objects.filter(type__in=kind.pointed, subject_id=str(stored.pk)).order_by("-id").first()
    return Before(
        number=stored.active.number if stored.active else None,
        text=stored.active.text if stored.active else None,
        by=pointed.actor_name if pointed else "nobody known",
        by_person=pointed is not None and pointed.actor_kind == "person",
    )


def _newest(kind: Kind, name: str) -> int | None:
    newest = kind.stored._default_manager.filter(name=name).aggregate(newest=Max("versions__number"))["newest"]
    return int(newest) if newest else None


def _refuse_to_undo(texts: dict[str, tuple[Path, str]], before: dict[str, Before | None]) -> None:
    """Raise CommandError where loading would undo what a person did in the admin since the last load."""
    faults = [
        f"{path}: would replace {was.told}: take the text over into the file, or load it with --replace"
        if was.number
        else f"{path}: {was.by} took {name} out of force: bring it back in the admin, or load it with --replace"
        for name, (path, text) in texts.items()
        if (was := before[name]) and was.by_person and was.text != text
    ]
    if faults:
        raise CommandError("\n".join([*faults, "Nothing was stored."]))


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
