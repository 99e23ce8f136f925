"""Other people's machines: quotas of cores, caches that cannot be written or were damaged, processes that fork."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numba.core import caching, config
from pictures import make_folder

from minicnn import kernels
from minicnn.kernels import machine
from minicnn.kernels.compiled import Forgiving
from minicnn.kernels.relu import relu

# -- how many cores ----------------------------------------------------------------------------------------------------


def lay(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2, V1 = "0::/a/b\n", "12:pids:/a/b\n4:cpu,cpuacct:/a/b\n3:cpuset:/a/b\n"


@pytest.mark.parametrize("files, cores", [
    ({}, 64),
    ({"proc/self/cgroup": "0::/\n"}, 64),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "350000 50000\n"}, 7),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 64),
    ({"proc/self/cgroup": V2, "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 64),
    ({"proc/self/cgroup": V2, "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
      "sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, 3),
    ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),  # the path is the host's
    ({"proc/self/cgroup": V2, "sys/fs/cgroup/a/b/cpu.max": "500000 100000\n",
      "sys/fs/cgroup/a/cpu.max": "600000 100000\n"}, 5),
    ({"proc/self/cgroup": V1, "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us": "250000\n",
      "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n"}, 2),
    ({"proc/self/cgroup": V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ({"proc/self/cgroup": V1, "sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "-1\n",
      "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000\n"}, 64),
    ({"proc/self/cgroup": V1 + "0::/c\n", "sys/fs/cgroup/unified/c/cpu.max": "600000 100000\n"}, 6),
    ({"proc/self/cgroup": "5:cpuset:/a\n", "sys/fs/cgroup/cpuset/a/cpu.max": "100000 100000\n"}, 64),
    ({"proc/self/cgroup": "nonsense\n\n0::/../../x\n", "sys/fs/cgroup/cpu.max": "nonsense"}, 64),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}, 64),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": ""}, 64)])  # fmt: skip
def test_the_quota_of_control_groups(tmp_path, monkeypatch, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    assert machine.usable_cores(lay(tmp_path, files)) == cores


@pytest.mark.parametrize("there, cores", [
    ({"process_cpu_count": lambda: 3, "sched_getaffinity": lambda pid: {1}, "cpu_count": lambda: 8}, 3),
    ({"sched_getaffinity": lambda pid: {5, 7}, "cpu_count": lambda: 8}, 2), ({"cpu_count": lambda: 8}, 8),
    ({"cpu_count": lambda: None}, 1)], ids=["Python 3.13", "Linux", "Windows", "nobody knows"])  # fmt: skip
def test_what_the_system_says(tmp_path, monkeypatch, there, cores):
    for name in ("process_cpu_count", "sched_getaffinity", "cpu_count"):
        monkeypatch.delattr(os, name, raising=False)
        if name in there:
            monkeypatch.setattr(os, name, there[name], raising=False)
    assert machine.usable_cores(tmp_path) == cores


@pytest.mark.parametrize("threads, error", [(0, ValueError), (-1, ValueError), (2.0, TypeError), ("2", TypeError),
                                            (None, TypeError)])  # fmt: skip
def test_threads_are_a_whole_number_of_one_or_more(threads, error):
    before = kernels.get_num_threads()
    with pytest.raises(error, match=r"set_num_threads: .*: give 1 or more"):
        kernels.set_num_threads(threads)
    assert kernels.get_num_threads() == before


def test_threads_may_be_a_whole_number_of_numpy(threads):
    threads(np.int16(2))
    assert kernels.get_num_threads() == 2


# -- the cache of compiled kernels -------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The files in which Numba keeps what it compiles, in a folder of this test's own."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    return lambda: sorted(path for path in tmp_path.rglob("*") if path.is_file())


ELSEWHERE = """
import sys
from pathlib import Path
from types import SimpleNamespace
import minicnn.console
minicnn.console.prepare()
from minicnn import ops, plots
from minicnn.data import ImageFolder, Statistics, built_in_set
from minicnn.data.workers import Workers
folder = ImageFolder(sys.argv[1])
statistics = Statistics.of(folder)
with Workers(1) as pool:
    answers = list(pool.starmap(divmod, [(7, 2)]))
drawn = len(list(built_in_set(train=10, val=10).rglob("*.jpg")))
import numpy as np
print(ops.relu(np.array([[-1.0, 2.0]])).numpy(), len(folder), answers, drawn)
"""


def works():
    """Whether relu, decorated anew, compiles or is read from the cache, and is right."""
    y = np.empty(3)
    kernels.kernel(relu.plain)(y.reshape(1, 3), np.array([[-1.0, 0.0, 2.0]]))
    assert y.tolist() == [0, 0, 2]


def test_it_is_kept_and_read_again(cache, monkeypatch):
    works()
    assert {path.suffix for path in cache()} == {".nbi", ".nbc"}
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", lambda *given: pytest.fail("compiled again"))
    works()


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("harm", [lambda data: b"", lambda data: data[:-50], lambda data: b"nonsense" * 99,
                                  lambda data: data[:2]], ids=["empty", "cut", "nonsense", "two bytes"])  # fmt: skip
def test_a_damaged_file_is_replaced(cache, monkeypatch, suffix, harm):
    works()
    [path] = [path for path in cache() if path.suffix == suffix]
    path.write_bytes(harm(path.read_bytes()))
    works()
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", lambda *given: pytest.fail("it was not replaced"))
    works()


def test_a_cache_that_can_do_nothing_at_all_finds_nothing():
    def fails(*given):
        raise OSError(5, "Input/output error")

    cache = Forgiving(SimpleNamespace(load_overload=fails, save_overload=fails, flush=fails))
    assert cache.load_overload("signature", "target") is None
    cache.save_overload("signature", "code")


def test_without_a_place_it_compiles_at_each_start(monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])  # "no locator available"
    works()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied"),
                                   OSError(30, "Read-only file system")], ids=str)  # fmt: skip
def test_a_place_that_can_no_longer_be_written(cache, monkeypatch, error):
    def refuse(*given):
        raise error

    monkeypatch.setattr(caching.IndexDataCacheFile, "_open_for_write", refuse)
    works()
    assert cache() == []


def test_another_user_without_a_home_on_a_read_only_install(tmp_path):
    """Nobody's uid, who can read all and write nothing, with a HOME that is not there, then without one."""
    become = ["setpriv", "--reuid", "12345", "--clear-groups", "--inh-caps", "+dac_read_search",
              "--ambient-caps", "+dac_read_search", "env", "-i"]  # fmt: skip
    if not shutil.which("setpriv") or subprocess.run([*become, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only the superuser can become another")
    (tmp_path / "a").mkdir()
    make_folder(tmp_path / "a", 2)
    for home in (["HOME=/nonexistent"], []):
        run = subprocess.run([*become, *home, sys.executable, "-c", ELSEWHERE, str(tmp_path / "a")], cwd="/",
                             capture_output=True, text=True, check=False)  # fmt: skip
        assert (run.stdout, run.stderr) == ("[[0. 2.]] 4 [(3, 1)] 20\n", "")


WINDOWS = """
import os, signal, sys
for module, names in ((os, "sched_getaffinity register_at_fork getuid geteuid getgid fork link fchmod"),
                      (signal, "SIGPIPE SIGHUP SIGQUIT SIGALRM SIGUSR1 pthread_sigmask")):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
if hasattr(os, "process_cpu_count"):
    os.process_cpu_count = os.cpu_count  # as Python 3.13 has it where there is no affinity
for name in "fcntl", "resource", "pwd", "grp", "termios":
    sys.modules[name] = None
from minicnn import __main__, checkpoint, data, plots
from minicnn.training import trainer
folder = data.ImageFolder(sys.argv[1])
statistics = data.Statistics.of(folder, workers=1)
with data.Loader(folder, statistics, 3, train=True, workers=1) as loader:
    print(sum(len(labels) for _, labels in loader.epoch(0)))
print(len(list(data.built_in_set(train=10, val=10).rglob("*.jpg"))))
sys.exit(__main__.main(["gradcheck", "relu"]))
"""


def test_without_what_windows_lacks(tmp_path):
    """None of this ran on Windows: these are the functions that its Python is documented not to have."""
    make_folder(tmp_path / "a", 2)
    run = subprocess.run([sys.executable, "-c", WINDOWS, str(tmp_path / "a")], capture_output=True, text=True,
                         check=False, cwd=Path(__file__).parent.parent,
                         env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)})  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("4\n20\n")


# -- processes that fork -----------------------------------------------------------------------------------------------

FORKS = """
import os, signal, sys
import numpy as np
from minicnn import kernels, ops
from minicnn.data.workers import Workers
kernels.set_num_threads(3)
x = np.random.default_rng(0).standard_normal((8, 8, 40, 40)).astype(np.float32)
w = np.ones((8, 8, 3, 3), np.float32)
def work():
    return ops.conv2d(ops.relu(x), w).numpy().sum(), list(pool.starmap(divmod, [(7, 2)] * 4))
with Workers(2) as pool:
    before = work()
    if (child := os.fork()) == 0:
        signal.alarm(60)  # it would hang
        same = work() == before
        pool.close()
        os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    after = work()
sys.exit(os.waitstatus_to_exitcode(status) or after != before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it cannot fork")
def test_a_forked_process_computes_and_leaves_the_workers_of_its_parent_alone():
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, check=False,
                         cwd=Path(__file__).parent.parent)  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


FORKS_MEANWHILE = """
import os, signal, sys, threading, time
from minicnn.kernels.cores import _blas, one_thread, parallel_for
before = [each.get_num_threads() for each in _blas()]
busy, done = threading.Event(), threading.Event()
def other():
    with one_thread, one_thread.lock:
        busy.set()
        done.wait()
thread = threading.Thread(target=other)
thread.start()
busy.wait()
if (child := os.fork()) == 0:
    signal.alarm(60)  # it would hang
    back = [each.get_num_threads() for each in _blas()] == before
    os._exit(0 if back and parallel_for(3, lambda first, last: last, parts=3) == [1, 2, 3] else 1)
done.set()
_, status = os.waitpid(child, 0)
thread.join()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it cannot fork")
def test_a_process_that_forks_while_another_thread_computes():
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS_MEANWHILE], capture_output=True, text=True,
                         check=False, cwd=Path(__file__).parent.parent)  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
