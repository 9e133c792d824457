"""The broker without a server: what is put arrives whole and once, however many put and get at the same moment."""

import multiprocessing
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from zehrava_site import celery

MESSAGES = 400
PROCESSES = multiprocessing.get_context("fork")


def channel(folder: Path):
    assert celery.app.main == "zehrava"
    options = {"data_folder_in": str(folder), "data_folder_out": str(folder), "control_folder": str(folder / "control")}
    return Connection("filesystem://", transport_options=options).channel()


def put(folder: Path, number: int) -> None:
    ours = channel(folder)
    for n in range(MESSAGES):
        ours._put("zehrava", {"body": f"{number}-{n}" + "x" * 5_000})


def get(folder: Path, done, found) -> None:
    ours, taken = channel(folder), []
    while True:
        ended = done.is_set()
        try:
            taken.append(ours._get("zehrava")["body"].rstrip("x"))
        except Empty:
            if ended:
                break
    found.put(taken)


def test_messages_arrive_whole_and_once(tmp_path):
    done, found = PROCESSES.Event(), PROCESSES.Queue()
    getters = [PROCESSES.Process(target=get, args=(tmp_path, done, found)) for _ in range(3)]
    putters = [PROCESSES.Process(target=put, args=(tmp_path, number)) for number in range(3)]
    for process in (*getters, *putters):
        process.start()
    for process in putters:
        process.join()
    done.set()
    taken = [body for _ in getters for body in found.get(timeout=60)]
    for process in getters:
        process.join()
    assert [process.exitcode for process in (*getters, *putters)] == [0] * 6
    assert sorted(taken) == sorted(f"{number}-{n}" for number in range(3) for n in range(MESSAGES))
    assert [name.name for name in tmp_path.iterdir() if name.is_file()] == []


@pytest.mark.parametrize("rubbish", ["", "{", "\x00\x00"])
def test_a_message_that_cannot_be_read_is_dropped_and_the_next_one_arrives(tmp_path, rubbish):
    ours = channel(tmp_path)
    (tmp_path / "0_rubbish.zehrava.msg").write_text(rubbish)
    ours._put("zehrava", {"body": "good"})
    assert ours._get("zehrava") == {"body": "good"}
    with pytest.raises(Empty):
        ours._get("zehrava")


def test_first_in_first_out(tmp_path):
    ours = channel(tmp_path)
    for n in range(50):
        ours._put("zehrava", {"body": n})
    assert [ours._get("zehrava")["body"] for _ in range(50)] == list(range(50))
