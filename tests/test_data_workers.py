"""The workers: order, limits, and that none of them outlives its parent or dies unnoticed."""
import importlib
import operator
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from minicnn.data import WorkerDied
from minicnn.data.workers import Workers


def is_alive(pid):
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")  # if there is such a thing; a process nobody waits for counts as dead
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (ProcessLookupError, FileNotFoundError):
        return False


def check_gone(pids, seconds=10):
    assert pids
    end = time.monotonic() + seconds
    while any(map(is_alive, pids)):
        assert time.monotonic() < end, "a worker is still alive"
        time.sleep(0.02)


def pids_of(workers):
    """The processes behind a pool, all started: two tasks that overlap need two of them."""
    list(workers.starmap(time.sleep, [(0.2,)] * workers.count))
    return {process.pid for process in workers._processes if process.poll() is None}


@pytest.fixture(scope="module")
def pool():
    with Workers(2) as pool:
        yield pool


@pytest.mark.parametrize("count", [0, 1, 2])
def test_answers_come_in_order(count):
    with Workers(count) as workers:
        assert list(workers.starmap(divmod, ((n, 7) for n in range(30)))) == [divmod(n, 7) for n in range(30)]
        assert list(workers.starmap(divmod, [])) == []


def test_only_so_much_is_done_ahead(pool):
    begun = []
    answers = pool.starmap(abs, ((begun.append(n) or n,) for n in range(20)))
    for n in range(10):
        assert next(answers) == n
        assert len(begun) == n + 1 + pool.count + 1
    answers.close()
    assert list(pool.starmap(abs, [(-1,)])) == [1]


def test_what_is_not_begun_when_it_is_abandoned_is_not_done(tmp_path):
    with Workers(1) as one:
        answers = one.starmap(os.system, ((f"sleep 0.2; touch {tmp_path}/{n}",) for n in range(4)))
        next(answers)
        answers.close()
        assert list(one.starmap(abs, [(-1,)])) == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_what_is_printed_does_not_get_among_the_answers(pool):
    assert list(pool.starmap(print, [("a",), ("b",)])) == [None, None]
    assert list(pool.starmap(os.write, [(1, b"c")])) == [1]


def test_the_interrupt_of_a_terminal_is_ignored(pool):
    before = pids_of(pool)
    for pid in before:
        assert os.getpgid(pid) != os.getpgid(0)
        os.kill(pid, signal.SIGINT)
    assert pids_of(pool) == before


@pytest.mark.parametrize(("function", "task", "end"), [
    (signal.raise_signal, (signal.SIGKILL,), "was killed by signal 9"), (os._exit, (3,), "ended with exit code 3"),
    (operator.truediv, (1, 0), "ended with exit code 1")])
def test_a_death_is_an_error_and_the_pool_goes_on(pool, function, task, end):
    with pytest.raises(WorkerDied, match=end):
        list(pool.starmap(function, [task] * 3))
    assert list(pool.starmap(abs, [(-1,)] * 6)) == [1] * 6


def test_a_kill_in_the_middle_of_an_answer():
    with Workers(1) as one:
        [pid] = one.starmap(os.getpid, [()])
        killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(WorkerDied, match="signal 9"):  # nearly all of the time is spent on the way
            list(one.starmap(bytes, [(2**24,)] * 1000))
        killer.join()


@pytest.mark.parametrize("busy", [False, True])
def test_close_leaves_none_behind(busy):
    workers = Workers(2)
    pids = pids_of(workers)
    assert len(pids) == 2
    answers = workers.starmap(time.sleep, [(0,), (60,), (60,), (60,)])
    if busy:
        next(answers)
    start = time.monotonic()
    workers.close()
    workers.close()
    assert not any(map(is_alive, pids))
    assert time.monotonic() - start < 5


SCRIPT = """
import os, sys, time
from minicnn.data.workers import Workers
workers = Workers(2)
list(workers.starmap(time.sleep, [(0.2,)] * 2))
print(*(process.pid for process in workers._processes), flush=True)
answers = workers.starmap(bytes, [(10**7,)] * 100)
next(answers)
{end}
"""


@pytest.mark.parametrize(("end", "kill", "code"), [
    ("time.sleep(60)", signal.SIGKILL, -signal.SIGKILL), ("time.sleep(60)", signal.SIGTERM, -signal.SIGTERM),
    ("", None, 0), ("sys.exit(3)", None, 3)])
def test_workers_end_with_their_parent_and_say_nothing(end, kill, code):
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT.format(end=end)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ":".join(sys.path)})
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        if kill:
            parent.send_signal(kill)
        assert parent.wait(20) == code
        check_gone(pids)
        assert parent.stderr.read() == ""


def test_a_negative_count():
    with pytest.raises(ValueError, match="Workers: count is -1: it must be at least 0"):
        Workers(-1)


@pytest.mark.parametrize("most", [0, 2**16, 2**18], ids=["none may be widened", "the usual", "a quarter"])
def test_pipes_as_wide_as_they_may_be(monkeypatch, most):
    fcntl = pytest.importorskip("fcntl")
    real, got = fcntl.fcntl, []

    def unprivileged(pipe, what, size=0):
        if what == fcntl.F_SETPIPE_SZ and size > most:
            raise PermissionError(1, "Operation not permitted")
        got.append(size)
        return real(pipe, what, size)

    monkeypatch.setattr(fcntl, "fcntl", unprivileged)
    with Workers(1) as one:
        assert list(one.starmap(bytes, [(2**21,)])) == [bytes(2**21)]
    assert got == [most] * 2 * (most >= 2**17)


def test_where_a_pipe_has_no_size_and_a_process_no_group(monkeypatch):
    """As on macOS, and, by what its documentation says, on Windows."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with Workers(1) as one:
        assert list(one.starmap(divmod, [(7, 2)])) == [(3, 1)]


@pytest.mark.parametrize("folder", ["a:b", "with space", "größe 'n\"", "$HOME", os.fsdecode(b"\xe9")])
def test_modules_are_found_in_a_folder_of_any_name(tmp_path, monkeypatch, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "of_any_name.py").write_text("def double(x): return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path / folder))
    with Workers(1) as one:
        assert list(one.starmap(importlib.import_module("of_any_name").double, [(4,)])) == [8]
    del sys.modules["of_any_name"]


@pytest.mark.parametrize("error", [OSError(11, "Resource temporarily unavailable"), OSError(24, "Too many open files"),
                                   OSError(12, "Cannot allocate memory")], ids=str)  # fmt: skip
def test_no_more_processes(monkeypatch, error):
    def refuse(*given, **named):
        raise error

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with Workers(1) as one, pytest.raises(WorkerDied, match=f"cannot be started: {error.strerror}: use fewer"):
        list(one.starmap(abs, [(-1,)]))


@pytest.mark.parametrize("words, redirections", [("-I -OO", ""), ("-W error -X dev", ""), ("-P -X utf8", "<&- 2>&-"),
                                                 ("-E", "2>&-")])  # fmt: skip
def test_whatever_python_was_asked_for(words, redirections):
    program = f"import sys; sys.path[:] = {sys.path!r}\n" + """
from minicnn.data.workers import Workers
with Workers(1) as one:
    print(*one.starmap(divmod, [(7, 2)] * 3), *one.starmap(print, [("among the answers",)]))
"""
    run = subprocess.run(["/bin/sh", "-c", f'exec "$0" {words} -c "$1" {redirections}', sys.executable, program],
                         capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert (run.returncode, run.stdout) == (0, "(3, 1) (3, 1) (3, 1) None\n")
    assert run.stderr.strip() in ("", "among the answers")
