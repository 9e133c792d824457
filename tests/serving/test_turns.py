"""Writers on SQLite take turns: nobody is refused, and a turn ends with the process that had it."""

import os
import signal
import subprocess
import sys

from tests.crowd import at_once
from tests.portal import ROOT

HOLD = """
import django, time
django.setup()
from django.db import transaction
from intents.in_force import bump
with transaction.atomic():
    bump()
    print("held", flush=True)
    time.sleep(60)
"""
WRITE = """
from django.db import transaction
from intents.in_force import bump
# GO
said = 0
for _ in range(50):
    with transaction.atomic():
        bump()
    said += 1
"""


def test_eight_writers_all_get_their_turns(start_portal):
    assert at_once(start_portal(web=0), WRITE, processes=8) == [50] * 8


def test_the_turn_of_a_killed_process_is_the_next_ones(start_portal):
    portal = start_portal(web=0)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, env=portal.environment, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert at_once(portal, WRITE, processes=2) == [50] * 2
