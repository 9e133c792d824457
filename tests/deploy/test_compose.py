"""The compose file says nothing that the portal does not know, and starts what exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
PORTAL = ("prepare", "web", "worker", "scheduler")
FILLED = {
    "POSTGRES_PASSWORD": "p",
    "ZEHRAVA_SECRET_KEY": "s" * 50,
    "ZEHRAVA_SIGNING_SECRET": "t" * 50,
    "ZEHRAVA_SIGNING_KEYS": "u" * 50,
    "ZEHRAVA_ALLOWED_HOSTS": "zehrava.example.com",
    "ZEHRAVA_BASE_URL": "https://zehrava.example.com",
}


def filled_in(text: str) -> str:
    def value(found: re.Match[str]) -> str:
        name, _, default = found[1].partition(":-")
        return FILLED.get(name.partition(":?")[0], default)

    return re.sub(r"\$\{([^}]*)\}", value, text)


def production(**changes: str) -> subprocess.CompletedProcess[str]:
    """Load the settings with the environment of the compose file."""
    environment = {name: filled_in(text) for name, text in COMPOSE["services"]["web"]["environment"].items()}
    environment |= {"PATH": os.environ["PATH"], "ZEHRAVA_DATA_DIR": changes.pop("data")} | changes
    return subprocess.run(
        [sys.executable, "-c", "import zehrava_site.settings"],
        cwd=ROOT,
        env={name: value for name, value in environment.items() if value},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_names_every_variable_that_has_to_be_filled_in():
    example = (ROOT / "deploy" / ".env.example").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "deploy" / "compose.yaml").read_text()))
    assert asked == set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == set(FILLED)


def test_production_starts_with_what_the_compose_file_says(tmp_path):
    started = production(data=str(tmp_path))
    assert started.returncode == 0, started.stderr


@pytest.mark.parametrize(
    "unsafe",
    [
        {"ZEHRAVA_DATABASE_URL": ""},
        {"ZEHRAVA_BROKER_URL": ""},
        {"ZEHRAVA_SECRET_KEY": ""},
        {"ZEHRAVA_SIGNING_SECRET": ""},
        {"ZEHRAVA_SIGNING_KEYS": ""},
        {"ZEHRAVA_SIGNING_KEYS": "too-short"},
        {"ZEHRAVA_ALLOWED_HOSTS": ""},
        {"ZEHRAVA_BASE_URL": ""},
        {"ZEHRAVA_BASE_URL": "http://zehrava.example.com"},
        {"ZEHRAVA_DEBUG": "true"},
    ],
    ids=lambda unsafe: "=".join(*unsafe.items()),
)
def test_production_refuses_to_start_on_an_unsafe_default(tmp_path, unsafe):
    refused = production(data=str(tmp_path), **unsafe)
    assert refused.returncode != 0
    assert "ImproperlyConfigured: ZEHRAVA_" in refused.stderr


def test_every_copied_path_exists():
    for line in re.findall(r"^COPY (.*)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE):
        for path in line.split()[:-1]:
            assert (ROOT / path).exists(), path


def test_every_part_of_the_portal_shares_one_environment():
    environments = [COMPOSE["services"][name]["environment"] for name in PORTAL]
    assert all(environment == environments[0] for environment in environments)
