"""Loading documents from files: all are read and checked before the first is stored."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import Max

from audit.actors import Actor
from audit.models import Event
from intents import activation, documents, in_force, parsing, policy_warnings
from intents.management.answering import Answer
from intents.models import ActionType, Policy, PolicyVersion
from zehrava.policy import PolicySet
from zehrava.policy import cases as case_files
from zehrava.policy.errors import DocumentError
from zehrava.policy.running import run
from zehrava.policy.strict_yaml import MAX_BYTES
from zehrava.problems import Problem


@dataclass(frozen=True)
class Kind:
    """What policies and action types have of their own, for loading them."""

    stored: type[Policy] | type[ActionType]
    parse: Callable[[str], Any]
    save: Callable[..., Any]
    # Events that say who last brought a version into force, or took the document out of it.
    pointed: tuple[str, str]


POLICIES = Kind(Policy, parsing.parse_policy, documents.save_policy, ("policy.activated", "policy.disabled"))
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
    # Whether a version of it ever counted.
    counted: bool
    by_person: bool

    @property
    def told(self) -> str:
        return f"v{self.number} by {self.by}"


def load_policies(
    paths: Iterable[Path], *, by: Actor, replace: bool = False, cases: Iterable[Path] = (), draft: bool = False
) -> Answer:
    """Store and activate policies from files; with `replace` also where a person saw last to what is in force.

    Where that takes a second person, they are stored as drafts and people are asked, who see what would be replaced;
    `replace` says nothing then. With `draft` they are stored and nobody is asked. `cases` are files of cases which
    what would then be in force has to agree with. Raises CommandError, and stores nothing, if any file cannot be read,
    a case fails, or it would undo what a person did.
    """
    paths = list(paths)
    with transaction.atomic():
        texts = _read_all(paths, POLICIES.parse)
        _refuse_failing(texts, cases)
        if draft:
            loaded = [_store(path, text, by=by) for path, text in texts.values()]
        elif activation.takes_two():
            loaded = [_ask(path, text, by=by) for path, text in texts.values()]
        else:
            loaded = _load(texts, POLICIES, by=by, replace=replace)
    # After everything is stored: whether lint says something never keeps a policy out.
    for each in loaded:
        found = policy_warnings.warnings_of(each.version)
        each.document["warnings"] = [str(warned) for warned in found if warned.level == "warning"]
        each.document["notes"] = [str(warned) for warned in found if warned.level != "warning"]
    return _answer(loaded)


def load_action_types(paths: Iterable[Path], *, by: Actor, replace: bool = False) -> Answer:
    """Store and activate action types from files, as `load_policies` does policies."""
    with transaction.atomic():
        return _answer(_load(_read_all(paths, ACTION_TYPES.parse), ACTION_TYPES, by=by, replace=replace))


@dataclass(frozen=True)
class Loaded:
    """One document that was stored: what --json says of it, and how that is told."""

    version: Any
    document: dict[str, Any]
    line: str


def _answer(loaded: list[Loaded]) -> Answer:
    lines = []
    for each in loaded:
        lines.append(each.line)
        lines += [f"  warning: {warning}" for warning in each.document.get("warnings", ())]
        lines += [f"  note: {note}" for note in each.document.get("notes", ())]
    return Answer({"loaded": [each.document for each in loaded]}, "\n".join(_printable(line) for line in lines))


def _printable(line: str) -> str:
    """Without anything that a terminal would obey: warnings quote what somebody wrote."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)


def _load(texts: dict[str, tuple[Path, str]], kind: Kind, *, by: Actor, replace: bool) -> list[Loaded]:
    before = {name: _before(kind, name) for name in texts}
    if not replace:
        _refuse_to_undo(texts, before)
    loaded = []
    for name, (path, text) in texts.items():
        was = before[name]
        newest = was and _newest(kind, name)
        version = kind.save(text, by=by, user=None)
        new = newest is None or version.number > newest
        replaced = was if was and was.number not in (None, version.number) else None
        if replaced:
            how = f"replaces {replaced.told}"
        elif was and was.number is None:
            how = (
                ("new; it is in force again" if new else "in force again")
                if was.counted
                else ("new, in force; no version of it was before" if new else "in force, which was a draft")
            )
        else:
            how = "new" if new else "unchanged"
        document = _document(path, version, new=new) | {
            "in_force": True,
            "replaces": {"version": replaced.number, "by": replaced.by} if replaced else None,
        }
        loaded.append(Loaded(version, document, f"{name} v{version.number}: {how} ({path})"))
    return loaded


def _store(path: Path, text: str, *, by: Actor) -> Loaded:
    """Store a policy as a draft; nothing comes into force and nobody is asked."""
    newest = _newest(POLICIES, parsing.parse_policy(text).name)
    version: PolicyVersion = documents.save_policy(text, by=by, user=None, activate=False)
    new = newest is None or version.number > newest
    in_force = version.policy.active_id == version.pk
    document = _document(path, version, new=new) | {"replaces": None, "in_force": in_force}
    told = f"{version.policy.name} v{version.number}"
    if in_force:
        return Loaded(version, document, f"{told}: unchanged ({path})")
    return Loaded(version, document, f"{told}: {'new, ' if new else ''}a draft, which counts for nothing yet ({path})")


def _ask(path: Path, text: str, *, by: Actor) -> Loaded:
    """Store a policy as a draft and ask people to bring it into force, where that takes two of them.

    It undoes nothing that a person did: the people who confirm it see whose version it would replace, and how.
    """
    was = _before(POLICIES, parsing.parse_policy(text).name)
    stored = _store(path, text, by=by)
    if stored.document["in_force"]:
        return stored
    version = stored.version
    replaced = was.told if was and was.number else ""
    instead = f", instead of {replaced}" if replaced else ""
    try:
        activation.ask_from_server(version, by=by, reason=f"Loaded from {path.name} on the server{instead}.")
    except Problem as problem:
        raise CommandError(f"{path}: {problem.detail}\nNothing was stored.") from problem
    new = "new, " if stored.document["new"] else ""
    then = "A person has to take over the request on the policy's page, and a second one to confirm it"
    how = f"{new}is not in force{f' and would replace {replaced}' if replaced else ''}. {then}"
    return Loaded(version, stored.document, f"{version.policy.name} v{version.number}: {how} ({path})")


def _document(path: Path, version: Any, *, new: bool) -> dict[str, Any]:
    return {
        "file": str(path),
        "name": version.document.name,
        "version": version.number,
        "digest": version.digest,
        "new": new,
    }


def _refuse_failing(texts: dict[str, tuple[Path, str]], files: Iterable[Path]) -> None:
    """Raise CommandError where a case comes out differently with these policies among those in force."""
    faults: list[str] = []
    all_cases: list[case_files.Case] = []
    for file in files:
        try:
            all_cases += case_files.load(file)
        except OSError as error:
            faults.append(f"{file}: cannot be read: {error.strerror}")
        except DocumentError as error:
            faults.extend(f"{file}:{fault}" for fault in error.errors)
    if all_cases and not faults:
        kept = [policy for policy in in_force.current().policies.policies if policy.name not in texts]
        loaded = [parsing.parse_policy(text) for _, text in texts.values()]
        policies = PolicySet([*kept, *loaded], default=settings.ZEHRAVA_DEFAULT_EFFECT)
        faults = [str(failure) for failure in run(policies, all_cases)]
    if faults:
        raise CommandError("\n".join([*map(_printable, faults), "Nothing was stored."]))


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
        counted=pointed is not None,
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
            text = _read(path)
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


def _read(path: Path) -> str:
    """The text of a file. Raises OSError, UnicodeDecodeError, and DocumentError where it is longer than any may be."""
    with path.open("rb") as file:
        # One byte more than any document has: what is endless is not read to its end.
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise DocumentError(f"The document is longer than {MAX_BYTES // 1024} KiB; split it")
    return data.decode()
