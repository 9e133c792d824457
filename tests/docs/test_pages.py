"""The README and the pages of docs/ say what is so: commands run, links lead somewhere, nothing is left out."""

import ast
import re
import subprocess
from contextlib import ExitStack

import pytest

from tests.docs.reader import Reader, typed_by_a_newcomer
from tests.docs.reading import PAGES, anchors, blocks, codes, commands, first_cells, links, text
from tests.portal import ROOT, Portal
from zehrava.problems import KINDS

# --- every command runs --------------------------------------------------------------------------------------------

WITH_COMMANDS = [page for page in PAGES if any(block.tested_by is None for block in commands(page))]


@pytest.fixture(scope="module")
def demonstrated(portal_template, tmp_path_factory):
    """A portal as it is after `make run` and `make demo`, and tokens for its people, shared by all pages."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "data").mkdir()
    with ExitStack() as stack:
        portal = Portal(folder / "data", stack.enter_context(portal_template.copy(folder / "data")))
        stack.callback(portal.stop)
        portal.start_web()
        portal.start_worker()
        portal.manage("demo", "--url", portal.base_url)
        yield portal, {"fiona": portal.manage_json("token_create", "fiona")["token"]}


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize("doc", WITH_COMMANDS)
def test_every_command_of_a_page_runs_in_order(doc, demonstrated, tmp_path):
    portal, tokens = demonstrated
    reader = Reader(portal, tmp_path / "checkout", tokens)
    said = {}
    for block in commands(doc):
        if block.tested_by is None:
            said[block.line] = reader.run(_renamed(block, doc))
    promised = {
        "README.md": ["Now you:", "succeeded"],
        "docs/agents.md": ["Policy blocked", '"state":"running"'],
        "docs/auditors.md": ["UPDATE is refused", "DELETE is refused", "everything holds"],
        "docs/reviewers.md": ['"status":"rejected"'],
        "docs/operators.md": ['"status": "ok"', "whsec_"],
    }
    everything = "\n".join(said.values())
    for words in promised.get(doc, []):
        assert words.replace(" ", "") in everything.replace(" ", ""), everything


def _renamed(block, page):
    """Each page registers its agent on a portal of the reader's own; here the pages share one."""
    name = re.sub(r"\W", "-", page.removeprefix("docs/").removesuffix(".md")).lower()
    return type(block)(**{**vars(block), "text": block.text.replace("invoices", f"invoices-{name}")})


# The only tests that may be named instead, and why what they run cannot run in the middle of a page.
ELSEWHERE = {
    "test_make_run_in_a_fresh_copy_serves_and_a_second_start_changes_nothing": "it does not end by itself",
    "test_the_commands_of_the_operators_page_bring_up_a_production_portal": "they need PostgreSQL and Redis",
    "test_make_test_is_what_continuous_integration_runs": "it would run this very test",
    "test_turning_it_off_is_a_step_of_its_own_that_the_ledger_keeps": "it needs a portal that asked for two people",
    "test_an_auditor_verifies_a_record_with_the_published_keys_alone": "no page makes a decision before it",
    "test_the_suite_takes_its_database_from_the_environment": "it would run the suite within the suite",
}


@pytest.mark.parametrize("doc", PAGES)
def test_a_block_that_names_its_test_names_one_that_exists(doc):
    for block in commands(doc):
        if block.tested_by is not None:
            path, name = block.tested_by
            assert name in ELSEWHERE, f"{block}: let it run with the page"
            tree = ast.parse((ROOT / path).read_text())
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{block}: {name}"


@pytest.mark.parametrize("doc", PAGES)
def test_what_is_not_run_is_not_dressed_as_a_command(doc):
    for block in blocks(doc):
        assert block.language in ("sh", "python", "console", "json", "yaml", "text"), f"{block}: {block.language!r}"


@pytest.mark.parametrize("doc", PAGES)
def test_no_command_is_hidden_in_an_indented_block(doc):
    prose = re.sub(r"^( *)```.*?^\1```", "", text(doc), flags=re.MULTILINE | re.DOTALL)
    hidden = [
        line for line in prose.splitlines() if re.match(r"    +(\$ |make |pip |curl |zehrava |\.venv/|python)", line)
    ]
    assert not hidden


def test_make_test_is_what_continuous_integration_runs():
    ci = (ROOT / ".ci" / "run").read_text()
    assert all(re.search(rf"\bmake (--\S+ )*{target}\b", ci) for target in ("lint", "types", "test"))
    for target in ("lint", "types", "test", 'test PYTEST_ARGS="tests/reviews -x"'):
        planned = subprocess.run(
            f"make --dry-run {target}",
            shell=True,
            cwd=ROOT,
            env=typed_by_a_newcomer(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert planned.returncode == 0, planned.stderr
        if "PYTEST_ARGS" in target:
            assert "tests.components run tests/reviews -x" in planned.stdout


def test_the_suite_takes_its_database_from_the_environment(monkeypatch):
    asked = subprocess.run(
        [ROOT / ".venv" / "bin" / "python", "-c", "from tests import settings; print(settings.DATABASES['default'])"],
        cwd=ROOT,
        env={**typed_by_a_newcomer(), "ZEHRAVA_DATABASE_URL": "postgres://postgres@127.0.0.1:5432/zehrava"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "postgresql" in asked.stdout and "'NAME': 'zehrava'" in asked.stdout


# --- nothing leads nowhere -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("doc", PAGES)
def test_every_link_leads_to_something(doc):
    for target in links(doc):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / doc).parent / path if path else ROOT / doc
        assert found.exists(), f"{doc}: {target}"
        if anchor:
            assert anchor in anchors(str(found.resolve().relative_to(ROOT))), f"{doc}: {target}"


def test_the_readme_leads_to_every_page():
    targets = {target.partition("#")[0] for target in links("README.md")}
    assert {page for page in PAGES if page.startswith("docs/")} | {"docs/policies/README.md"} <= targets


def test_the_readme_keeps_its_order():
    titles = re.findall(r"^#+ (.+)$", text("README.md"), re.MULTILINE)
    assert titles == ["Zehrava", "Two commands", "Five minutes", "The SDK in ten lines", "Where to go next"]
    assert re.search(r"measured: \d+ min", text("README.md"))
    assert text("README.md").index("docs/images/desk.png") < text("README.md").index("## Two commands")


# --- nothing is left out -------------------------------------------------------------------------------------------


def variables_of_the_code():
    """Every environment variable that the portal reads, found in its source."""
    found = set()
    reading = re.compile(
        r"""(?:env\.\w+\(|_duration\(|_bound\(|_kept_secret\(|environ\.get\(|environ\.setdefault\(|environ\[|vars\(\)\.update\(env\.\w+\()\s*"""
        r"""["']([A-Z][A-Z0-9_]+)["']"""
    )
    for folder in ("zehrava_site", "intents", "reviews", "audit", "sdk/src"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(reading.findall(path.read_text()))
    # Django's own, set by the entry points and nobody's choice.
    return found - {"DJANGO_SETTINGS_MODULE"}


def test_every_environment_variable_has_a_line_for_operators():
    listed = {name for cell in first_cells("docs/operators.md") for name in codes(cell) if name.isupper()}
    read = variables_of_the_code()
    assert {"ZEHRAVA_DATABASE_URL", "ZEHRAVA_EMAIL_URL", "ZEHRAVA_SECRET_KEY", "PORT"} <= read
    # Read by the name that an action type chooses.
    assert listed - {"ZEHRAVA_CREDENTIAL_…", "ZEHRAVA_CREDENTIAL_…_HOSTS"} == read


def test_every_default_that_operators_are_told_is_the_one_of_the_code():
    told = dict(re.findall(r"^\| `(ZEHRAVA_\w+)` \| `?([0-9]+[smhd]?)`? \|", text("docs/operators.md"), re.MULTILINE))
    source = (ROOT / "zehrava_site" / "settings.py").read_text().replace("_", "")
    assert len(told) >= 10
    for name, value in told.items():
        bare = name.replace("_", "")
        assert re.search(rf'"{bare}", (?:default=)?"?{value}"?\)', source), f"{name}: {value}"


def test_every_problem_has_a_line_with_its_status():
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| .+ \|$", text("docs/agents.md"), re.MULTILINE)
    assert {kind: int(status) for kind, status in rows} == {kind: status for kind, (status, _) in KINDS.items()}


def test_every_member_of_a_proposal_has_a_line():
    from intents.proposals import _READERS

    listed = {name for cell in first_cells("docs/agents.md") for name in codes(cell)}
    assert set(_READERS) <= listed


def test_every_status_has_a_line_for_agents():
    from intents.models import Status

    assert set(Status.values) <= {name for cell in first_cells("docs/agents.md") for name in codes(cell)}


def test_every_ground_of_a_decision_is_named_to_reviewers():
    from reviews.models import Ground

    call = "| `POST /api/v1/intents/{intent_id}/decisions`"
    [row] = [line for line in text("docs/reviewers.md").splitlines() if line.startswith(call)]
    assert {"vote", "digest", "rationale", "changes", "ground", "delegator", *Ground.values} <= set(codes(row))


def test_every_role_has_a_line_for_operators():
    from zehrava_site.roles import ROLES

    assert set(ROLES) <= {name for cell in first_cells("docs/operators.md") for name in codes(cell)}


def test_every_part_of_the_page_of_an_intent_has_a_line_for_reviewers():
    templates = ("intent.html", "before_after_panel.html", "intent_decisions.html", "intent_executions.html")
    template = "".join((ROOT / "templates" / "reviews" / name).read_text() for name in templates)
    parts = [part.strip() for part in re.findall(r"<h3[^>]*>([^<]+)", template)]
    assert len(parts) >= 10
    assert [part for part in parts if part not in first_cells("docs/reviewers.md")] == []


def test_every_member_of_an_event_line_and_every_filter_has_a_line_for_auditors():
    from audit.filters import PARAMETERS

    listed = [name for cell in first_cells("docs/auditors.md") for name in codes(cell)]
    members = ["id", "at", "type", "actor", "subject", "agent", "action", "intent", "request", "facts", "content"]
    members += ["history", "version"]
    assert listed[: len(members)] == members
    assert set(PARAMETERS) <= set(listed[len(members) :])


def test_every_dataset_is_named_to_auditors(db):
    from audit.exports import datasets

    page = text("docs/auditors.md")
    assert [name for name in datasets() if f"`{name.removeprefix('history/')}`" not in page] == []


def test_every_call_that_is_named_exists_and_every_one_that_exists_is_named():
    from drf_spectacular.generators import SchemaGenerator

    schema = SchemaGenerator().get_schema(request=None, public=True)
    existing = {
        f"{method.upper()} {path}"
        for path, methods in schema["paths"].items()
        for method in methods
        if path.startswith("/api/v1/") and method in ("get", "post", "put", "patch", "delete")
    }
    named = {
        name
        for page in PAGES
        for cell in first_cells(page)
        for name in codes(cell)
        if re.match(r"(GET|POST|PUT|PATCH|DELETE) /api/v1/", name)
    }
    assert named == existing
