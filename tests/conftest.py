"""What every test may use: real portals, a real browser, and a database that can be emptied again."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.components import COMPONENTS, chromium
from tests.portal import Portal, Template

# Playwright's synchronous API keeps an event loop in the main thread, where Django then refuses to touch the database.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_configure(config: pytest.Config) -> None:
    _empty_append_only_tables_between_tests()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for component in COMPONENTS:
        concerned = [item for item in items if item.get_closest_marker(component.marker)]
        if concerned and not component.found():
            for item in concerned:
                item.add_marker(pytest.mark.skip(reason=f"{component.missing}. {component.advice}."))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was not found, and tell `make test`, which says it once more at its very end."""
    skipped: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        reason = str(report.longrepr)
        skipped.update(component.marker for component in COMPONENTS if component.missing in reason)
    if not skipped:
        return
    if path := os.environ.get("ZEHRAVA_TEST_SKIPPED"):
        with Path(path).open("a") as file:
            file.write(json.dumps(skipped) + "\n")
        return
    for component in COMPONENTS:
        if count := skipped[component.marker]:
            terminalreporter.write_line(f"{component.missing}: {count} tests were skipped. {component.advice}.")


def _empty_append_only_tables_between_tests() -> None:
    """Let a test that commits be cleaned up after: tables that refuse DELETE and TRUNCATE allow it for that moment."""
    from django.db import connection
    from django.test import TransactionTestCase

    flush = TransactionTestCase._fixture_teardown

    def flush_everything(self: TransactionTestCase) -> None:
        from audit import immutability

        existing = set(connection.introspection.table_names())
        for table in immutability.expected_tables():
            if table in existing:
                immutability.remove(connection, table)
        try:
            flush(self)
        finally:
            immutability.reinstall(connection)

    TransactionTestCase._fixture_teardown = flush_everything  # type: ignore[method-assign]


# --- real processes ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def portal_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """A migrated and bootstrapped database on whatever the run uses, to copy from."""
    on_postgresql = os.environ.get("ZEHRAVA_DATABASE_URL", "").startswith("postgres")
    template = Template(tmp_path_factory.mktemp("template"), on_postgresql=on_postgresql)
    yield template
    template.drop()


@pytest.fixture
def start_portal(portal_template: Template, tmp_path: Path) -> Iterator[Callable[..., Portal]]:
    """Make a portal with a database of its own: `start_portal(worker=True, broker_url="redis://…", ZEHRAVA_…="…")`."""
    with ExitStack() as stack:

        def start(
            *, web: int = 1, worker: bool = False, broker_url: str = "filesystem://", **environment: str
        ) -> Portal:
            folder = tmp_path / f"portal{len(list(tmp_path.glob('portal*')))}"
            folder.mkdir()
            portal = Portal(folder, stack.enter_context(portal_template.copy(folder)), broker_url, **environment)
            stack.callback(portal.stop)
            if web:
                portal.start_web(web)
            if worker:
                portal.start_worker()
            return portal

        yield start


@pytest.fixture
def live_server_process(start_portal: Callable[..., Portal]) -> Portal:
    """A portal that serves, without a worker."""
    return start_portal()


@pytest.fixture
def live_portal(start_portal: Callable[..., Portal]) -> Portal:
    """A portal that serves, with a worker and the schedule."""
    return start_portal(worker=True)


# --- people without a browser --------------------------------------------------------------------------------------


@pytest.fixture
def signed_in() -> Callable[[Any], Any]:
    """A browser of this person, without a browser."""

    def sign_in(person: Any) -> Any:
        from django.test import Client

        client = Client()
        client.force_login(person)
        return client

    return sign_in


# --- the browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """pytest-playwright's `page`, `context` and `browser` drive the machine's own Chromium."""
    return {**browser_type_launch_args, "executable_path": chromium(), "args": CHROMIUM_ARGUMENTS}
