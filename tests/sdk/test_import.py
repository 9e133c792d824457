"""The package stands alone: agents and auditors have no Django."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata, resources

import pytest

import zehrava

pytestmark = pytest.mark.sdk

PROGRAM = """
import importlib, pkgutil, sys

PORTAL_ONLY = {"django", "rest_framework", "celery", "intents", "reviews", "audit", "zehrava_site"}

class NoDjango:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in PORTAL_ONLY:
            raise ImportError(f"{name} is not there for an agent")

sys.meta_path.insert(0, NoDjango())
import zehrava

names = [module.name for module in pkgutil.walk_packages(zehrava.__path__, "zehrava.")]
for name in names:
    importlib.import_module(name)
for name in zehrava.__all__:
    getattr(zehrava, name)
try:
    import django
except ImportError:
    print(len(names))
"""


def test_every_module_imports_where_there_is_no_django():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 13


def test_the_version_is_the_one_installed():
    assert zehrava.__version__ == metadata.version("zehrava")


def test_the_package_says_that_it_is_typed():
    assert resources.files("zehrava").joinpath("py.typed").is_file()
