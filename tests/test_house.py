"""The plan of the house: who may import whom, and which test belongs to which file."""

import ast
import configparser
import functools
import graphlib
import re
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
NO_OPS = ("__init__", "window", "methods", "dispatch")
OPS = sorted(path.stem for path in (HOUSE / "minicnn" / "ops").glob("*.py") if path.stem not in NO_OPS)

MAY_IMPORT = {  # downwards only; a wing that is not named stands on the top floor, where all of these may be imported
    "console": set(),
    "files": set(),
    "layout": set(),
    "checkpoint": {"files"},
    "command_line": {"console", "files"},
    "kernels": set(),
    "engine": set(),
    "ops": {"engine", "kernels"},
    "nn": {"engine", "kernels", "layout", "ops"},
    "schedule": {"engine"},
    "optim": {"engine", "kernels", "schedule"},
    "data": {"console", "engine", "files", "kernels"},
    "models": {"checkpoint", "data", "engine", "files", "kernels", "layout", "ops", "nn", "optim", "schedule"},
}
ONLY_IN = {"numba": {"kernels/__init__.py"}, "llvmlite": {"kernels/blas.py"}, "nvmath": {"kernels/product.py"},
           "cupy": {"kernels/__init__.py", "kernels/product.py", "kernels/cuda_graph.py", "kernels/add_at.py",
                    "minicnn/engine/device.py", "minicnn/training/nccl.py"}}
KERNELS = {path.stem for path in (HOUSE / "kernels").glob("*.py") if "\n@kernel" in path.read_text(encoding="utf-8")}
WHAT_IS_COMPUTED = {*KERNELS, "product", "convolution", "add_at"}  # and all the rest is HOW


def test_every_room_is_installed():
    listed = set((HOUSE / "setup.cfg").read_text(encoding="utf-8").split())
    rooms = {path.parent.relative_to(HOUSE).as_posix() for path in (HOUSE / "minicnn").rglob("__init__.py")}
    assert {room.replace("/", ".") for room in rooms} <= listed


def test_every_file_of_a_room_is_installed():
    told = configparser.ConfigParser()
    told.read(HOUSE / "setup.cfg", encoding="utf-8")
    for room, folder in [(room, HOUSE / room.replace("minicnn.kernels", "kernels").replace(".", "/"))
                         for room in told["options"]["packages"].split()]:
        patterns = told["options.package_data"].get(room, "").replace(",", " ").split()
        for path in folder.iterdir():
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                assert any(path.match(pattern) for pattern in patterns), f"setup.cfg leaves {path} at home"


def files():
    return [path for folder in ("minicnn", "kernels") for path in sorted((HOUSE / folder).rglob("*.py"))]


def place(path):
    return path.relative_to(HOUSE).as_posix()


def name_of(path):
    """The name under which a file is imported: kernels/ is installed inside of minicnn."""
    name = ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")
    return f"minicnn.{name}" if name.startswith("kernels") else name


@functools.cache
def imports(path):
    """The full names of all that a file imports when it runs, wherever in the file."""
    package = name_of(path) if path.stem == "__init__" else name_of(path).rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = {inner for node in ast.walk(tree) if isinstance(node, ast.If) and getattr(node.test, "id", "") ==
              "TYPE_CHECKING" for inner in ast.walk(node)}  # fmt: skip
    found = set()
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def wings(path):
    """The wings of minicnn that a file imports from."""
    return {"ops" if name == "minicnn.ops" else name.split(".")[1] for name in imports(path)
            if "minicnn." in name and name != "minicnn.__version__"}


@pytest.mark.parametrize("path", files(), ids=place)
def test_imports_point_downwards(path):
    if name_of(path) == "minicnn":
        return  # which shows what there is
    wing = name_of(path).split(".")[1]
    below = MAY_IMPORT.get(wing, set(MAY_IMPORT) | wings(path) - {"minicnn"})
    assert wings(path) - {wing} <= below, f"{place(path)} imports {sorted(wings(path) - {wing} - below)}"
    assert not {name.split(".")[0] for name in imports(path)} & {"examples", "tests", "benchmarks"}
    assert not [name for name in imports(path) if name == "minicnn"], "from one wing, not from the whole house"


@pytest.mark.parametrize("wing", ["engine", "ops", "nn", "schedule", "optim", "models"])
def test_how_is_left_to_kernels(wing):
    """No caller says how many cores there are, what a block is, or whether a graph is captured."""
    two_towers_two_cores = {"minicnn.kernels.cores.concurrently"} if wing == "models" else set()
    for path in files():
        if name_of(path).split(".")[1:2] == [wing]:
            used = {name for name in imports(path) if ".kernels." in name} - two_towers_two_cores
            assert {name.split(".")[2] for name in used} <= WHAT_IS_COMPUTED, place(path)


def test_no_file_imports_itself_by_a_detour():
    """Inside a wing, too: there is an order in which the files can be read, each after those that it builds on."""
    by_name = {name_of(path): path for path in files()}

    def below(path):
        for name in set(imports(path)):
            while name not in by_name:
                name = name.rpartition(".")[0]
                if not name:
                    break
            if name and by_name[name] != path and not (by_name[name].stem == "__init__" and path.is_relative_to(
                    by_name[name].parent)):  # fmt: skip - a wing's list of what it shows
                yield by_name[name]

    graph = {path: set(below(path)) for path in by_name.values()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(graph)


@pytest.mark.parametrize("package", ONLY_IN)
def test_each_machine_is_reached_from_few_files(package):
    importers = {place(path) for path in files() if any(name.split(".")[0] == package for name in imports(path))}
    assert importers <= ONLY_IN[package]


def test_the_check_sees_what_is_there():
    """Else all of the above might hold since nothing was read."""
    assert wings(HOUSE / "minicnn/optim.py") == {"engine", "kernels", "schedule"}
    assert {"engine", "kernels"} <= wings(HOUSE / "minicnn/ops/conv2d.py")
    assert "minicnn.engine.mode.grad_enabled" in set(imports(HOUSE / "minicnn/engine/tensor.py"))
    assert "numba" in set(imports(HOUSE / "kernels/__init__.py"))
    assert "minicnn.kernels.kernel" in set(imports(HOUSE / "kernels/relu.py"))
    assert {"relu", "im2col", "sgd"} <= KERNELS
    assert "minicnn.kernels.convolution" in set(imports(HOUSE / "minicnn/ops/conv2d.py"))


@pytest.mark.parametrize("op", OPS)
def test_every_op_has_its_test_and_is_listed(op):
    assert (HOUSE / "tests" / f"test_{op}.py").exists()
    assert f"from .{op} import" in (HOUSE / "minicnn/ops/__init__.py").read_text(encoding="utf-8")


HOLDERS = {"Counter", "ContextVar", "Lock", "count", "default_rng", "deque"}


def state(path):
    """The names of what a process holds in a file besides objects: globals, caches, thread-locals, locks, counters."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {node.name for node in tree.body if isinstance(node, ast.ClassDef) and
           any(ast.unparse(base) == "threading.local" for base in node.bases)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(
                ast.unparse(d).startswith(("functools.cache", "functools.lru_cache")) for d in node.decorator_list):
            yield node.name
        elif isinstance(node, ast.Global):
            yield from node.names
    for node in tree.body:
        value = getattr(node, "value", None)
        if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in own | HOLDERS:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            yield target.id


def test_what_a_process_holds_is_listed_with_its_reason():
    text = (HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## What a process holds")[2]
    listed = re.findall(r"^\| `(\S+)` \| `(\w+)` \| \S.* \|$", text, re.M)
    found = {(place(path).removeprefix("minicnn/"), name) for path in files() for name in state(path)}
    assert ("engine/mode.py", "_mode") in found
    assert set(listed) == found
    assert len(listed) == len(set(listed))


def test_no_environment_variable_is_written_by_the_engine():
    for path in files():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"os\.environ\[[^]]*\] *=[^=]|os\.putenv|environ\.(update|setdefault)", text), place(path)


def test_no_file_grows_beyond_what_one_reads_at_once():
    assert not {place(p): n for p in files() if (n := len(p.read_text(encoding="utf-8").splitlines())) > 250}


def test_importing_minicnn_is_light():
    heavy = {"numba", "llvmlite", "cupy", "torch", "scipy", "matplotlib", "PIL", "safetensors", "tqdm", "threadpoolctl"}
    program = "import sys, minicnn; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "minicnn" in loaded
    assert not heavy & set(loaded)
