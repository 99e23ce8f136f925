"""What the benchmarks measure with: BLAS and variables of the rivals' processes; and what several ranks bring."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mpi import needs_mpi
from pictures import make_folder
from PIL import Image

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
from turns import blas, take_turns, unset_blas_variables
unset_blas_variables(keep=sys.argv[2] == "keep")
print(blas())
print(*sorted(name for name in os.environ if name in sys.argv[3:]))
"""
SET = {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_L2_SIZE": "512", "MKL_ENABLE_INSTRUCTIONS": "AVX", "MKL_CBWR": "SSE2",
       "BLIS_ARCH_TYPE": "generic", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2",
       "DNNL_MAX_CPU_ISA": "AVX2"}  # fmt: skip
LISTED = ", ".join(f"{name}={value}" for name, value in SET.items())


def measured(word, **variables):
    """(the BLAS that a heading names, which variables are still set, what is said) of a benchmark that begins so."""
    around = {name: value for name, value in os.environ.items() if name not in SET} | variables
    run = subprocess.run([sys.executable, "-c", PROGRAM, str(BENCHMARKS), word, *SET], capture_output=True, text=True,
                         check=True, env=around)  # fmt: skip
    return *run.stdout.splitlines(), run.stderr


def test_variables_that_hold_a_blas_back_are_unset_for_the_rivals_and_that_is_said():
    free, none, nothing = measured("unset")
    assert (none, nothing) == ("", "")
    said = f"{LISTED}: unset for all rivals; --keep-blas-variables keeps it\n"
    assert measured("unset", **SET) == (free, "", said), "though they hold the BLAS of this process"


def test_they_are_kept_where_that_is_asked_for_and_the_rivals_blas_is_named():
    kept, still, said = measured("keep", **SET)
    assert (still.split(), said) == (sorted(SET), f"{LISTED}: kept\n")
    if not kept.startswith("OpenBLAS") or "kernels Nehalem" not in kept:
        pytest.skip(f"NumPy multiplies with {kept}")
    assert kept.endswith(", kernels Nehalem (OPENBLAS_CORETYPE=Nehalem, OPENBLAS_L2_SIZE=512)")


@pytest.mark.parametrize("name", ["alexnet_step.py", "convolutions.py", "ops.py", "ranks.py",
                                  "small_nets.py", "claims.py", "authors_log.py"])
def test_each_benchmark_has_the_option(name):
    run = subprocess.run([sys.executable, str(BENCHMARKS / name), "--help"], capture_output=True, text=True, check=True)
    assert "--keep-blas-variables" in run.stdout


def ran(name, *arguments, status=0):
    """What a benchmark prints, or what it says is wrong."""
    run = subprocess.run([sys.executable, str(BENCHMARKS / name), *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == status, run.stderr
    return run.stderr if status else run.stdout


def test_small_sets_are_drawn_class_by_class_and_a_smaller_one_is_part_of_a_larger(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import small_sets

    samples = [(Path(f"{i}.jpg"), i % 3) for i in range(300)]
    few, more = (small_sets.drawn(samples, 3, count, 1) for count in (30, 60))
    assert [[label for _, label in part].count(1) for part in (few, more)] == [10, 20]
    assert set(few) < set(more) < set(samples)
    assert set(small_sets.drawn(samples, 3, 30, 2)) != set(few)
    uneven = [label for _, label in small_sets.drawn(samples, 3, 111, 1, 100)]
    assert [uneven.count(label) for label in range(3)] == [100, 10, 1]


def small_sets(monkeypatch, *arguments):
    """The status of benchmarks/small_sets.py, whose rival takes ten steps at each setting and not a thousand."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import small_sets

    monkeypatch.setattr(small_sets, "STEPS", 10)
    monkeypatch.setattr(sys, "argv", ["small_sets.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        small_sets.main()
    return ended.value.code


def test_a_linear_classifier_knows_colours_and_alexnet_is_held_against_it(tmp_path, monkeypatch, capsys):
    for part, count in (("train", 8), ("val", 4)):
        make_folder(tmp_path / "set" / part, count)
    broken = min((tmp_path / "set" / "val").rglob("*.png"))
    broken.write_bytes(b"none")
    status = small_sets(monkeypatch, tmp_path / "set", "--pictures", "8", "99", "--json", tmp_path / "j", "--",
                        "--epochs", "1", "--width", "0.02")  # fmt: skip
    said = capsys.readouterr()
    (found,) = json.loads((tmp_path / "j").read_text())["results"]
    assert (found["pictures"], found["of_classes"], found["seed"]) == (8, [4, 4], 1)
    worse = found["alexnet"]["top1"] < found["linear"]["top1"]
    assert (status, f"in {int(worse)} of 1" in said.out) == (int(worse), True), said.err
    assert (found["alexnet"]["config"]["width"], len(found["alexnet"]["top1_of_epochs"])) == (0.02, 1)
    assert str(tmp_path) not in (tmp_path / "j").read_text()
    assert f"left out {broken}: " in said.err
    undivided = ran("small_sets.py", tmp_path / "set" / "train", status=1)
    assert (undivided.startswith("small_sets: "), undivided.count("\n")) == (True, 1)


def test_a_set_that_cannot_be_as_uneven_as_asked_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for part in ("train", "val"):
        make_folder(tmp_path / "set" / part, 10)
    monkeypatch.setattr("small_sets.trained", lambda *given: {"top1": 1.0, "epoch": 1, "seconds": 1, "config": {
        "epochs": 1}})  # fmt: skip
    for uneven, said in (("1", ""), ("10", "a class has too few for --uneven 10: 12 of 18\n")):
        small_sets(monkeypatch, tmp_path / "set", "--pictures", "18", "--uneven", uneven)
        assert capsys.readouterr().err == said


# -- several ranks, measured and on paper ------------------------------------------------------------------------------


@needs_mpi
def test_one_rank_and_two_are_timed(tmp_path):
    said = ran("ranks.py", "--width", "0.02", "--batch-size", 2, "--steps", 1, "--rounds", 1, "--json", tmp_path / "j")
    rows = [line.split() for line in said.splitlines() if line.startswith("    2")]
    assert [row[1] for row in rows] == ["1", "2", "2"]
    assert ["backward" in row for row in rows] == [False, True, True]
    found = json.loads((tmp_path / "j").read_text())["results"]
    assert [(r["ranks"], r["kind"]) for r in found] == [(1, ""), (2, "behind backward"), (2, "after backward")]
    assert all(len(r["seconds"]) == 1 and 0 <= r["exchange"] < 1 for r in found)


def test_scaling_is_counted_from_measured_steps(tmp_path):
    steps = [{"rival": "minicnn", "what": "step", "batch_size": n, "threads": 2, "seconds": [0.5 + n / 10] * 3}
             for n in (1, 8, 32)]  # fmt: skip
    (tmp_path / "steps").write_text(json.dumps({"machine": "M", "blas": "B", "date": "D", "results": steps}))
    said = ran("scaling.py", "--steps", tmp_path / "steps", "--batch-size", 64, "--json", tmp_path / "j")
    assert "a rank alone makes 8.6 images/s (M, 2 threads, B, D)" in said  # beyond 32 in proportion: 2 · 3.7 s
    rows = json.loads((tmp_path / "j").read_text())["results"]
    found = {(row["way"], row["link"], row["ranks"]): row["images_per_s"] for row in rows}
    assert max(ranks for *_, ranks in found) == 64
    # of 2 ranks each takes 3.7 s for 32 images, a third forward; 243.9 MB go round a ring in 1.95 s, behind backward
    assert found["plain", "1 Gbit/s", 2] == pytest.approx(64 / 3.7)
    # 4 ranks: 2.1 s for 16 images, of which 0.7 forward; 2 · ¾ · 243.9 MB at 0.125 GB/s take longer than the 1.4 after
    assert found["plain", "1 Gbit/s", 4] == pytest.approx(64 / (0.7 + 1.5 * 243.860896 / 125 + 6 * 50e-6))
    # split: of 0.5 s without an image 96 % are halved; activations of 64 images there and back, and logits
    step, sent = 3.7 - 0.5 * 58_631_144 / 60_965_224 / 2, 64 * 4 * (2 * 17_408 + 1000) / 2 / 125e6
    assert found["split", "1 Gbit/s", 2] == pytest.approx(64 / (step + sent + 7 * 50e-6))
    assert "| 64 | " in said
    assert "| plain: half is lost | 8 |" in said, "of 4 each makes 17.6 / 4, of 1 8.6 images/s"


def test_scaling_refuses_what_says_too_little(tmp_path):
    (tmp_path / "steps").write_text('{"results": []}')
    run = subprocess.run([sys.executable, str(BENCHMARKS / "scaling.py"), "--steps", str(tmp_path / "steps")],
                         capture_output=True, text=True)  # fmt: skip
    assert run.returncode == 2
    assert "--steps: " in run.stderr
    assert "Traceback" not in run.stderr


# -- the authors' nets for CIFAR-10 ------------------------------------------------------------------------------------


def test_steps_of_the_small_nets_are_timed(tmp_path):
    said = ran("small_nets.py", "--nets", "layers-18pct", "--batch-size", 2, "--threads", 1, "--repeat", 1,
               "--no-torch", "--json", tmp_path / "j")  # fmt: skip
    found = json.loads((tmp_path / "j").read_text())["results"]
    assert found[0]["rival"] == "minicnn" and all(r["share_of_product"] > 0 for r in found)
    assert sum(line.startswith("layers-18pct") for line in said.splitlines()) == len(found)


def test_the_two_nets_of_the_small_ones_are_the_same():
    """What minicnn and PyTorch are timed with gives the same for the same weights."""
    pytest.importorskip("torch")
    program = """
import sys; sys.path.insert(0, sys.argv[1])
import numpy as np, torch
import small_nets
from minicnn.models.cuda_convnet import CUDA_CONVNETS, cuda_convnet
kept = []
torch.nn.Sequential = lambda *layers, base=torch.nn.Sequential: kept.append(base(*layers)) or kept[-1]
for net in CUDA_CONVNETS:
    small_nets.step_of_torch(net, 2, 1)
    ours, theirs = cuda_convnet(net), kept[-1]
    for mine, own in zip(ours.parameters(), theirs.parameters(), strict=True):
        own.data = torch.from_numpy(mine.numpy().copy())
    images, _ = small_nets.data(net, 2)
    a, b = ours(images).numpy(), theirs(torch.from_numpy(images)).detach().numpy()
    print(net, np.abs(a - b).max() < 1e-4 * np.abs(b).max())
"""
    run = subprocess.run([sys.executable, "-c", program, str(BENCHMARKS)], capture_output=True, text=True, check=True)
    assert run.stdout.count("True") == 4, run.stdout


def small_pictures(folder):
    """Two pictures of noise of each of two classes, for training and for a test."""
    random = np.random.default_rng(0)
    for part in ("train/a", "train/b", "test/a", "test/b"):
        (folder / part).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / part / f"{i}.png")


def test_a_jpeg_is_squeezed_on_other_blocks(monkeypatch):
    """On its own a second time finds little to take away."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from jpeg_again import squeezed

    def once(image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=50, subsampling="4:2:0")
        return np.asarray(Image.open(file))

    first = once(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    own, other = (np.abs(again.astype(float) - first).mean() for again in (once(first), squeezed(first, 50)))
    assert other > 2 * own, (own, other)


def test_pictures_are_squeezed_once_more_and_stay_in_their_class(tmp_path):
    small_pictures(tmp_path / "data")
    Image.new("RGB", (32, 32), (200, 90, 40)).save(tmp_path / "data/train/b/1.png")  # JPEG keeps what is flat
    said = ran("jpeg_again.py", tmp_path / "data", tmp_path / "again", "--quality", 50)
    assert sorted(file.parent.relative_to(tmp_path / "again").as_posix() for file in tmp_path.glob("again/*/*/*.png")
                  ) == [part for part in ("test/a", "test/b", "train/a", "train/b") for _ in range(2)]  # fmt: skip
    before, after = (np.stack([np.asarray(Image.open(file), float) for file in sorted(folder.glob("train/b/*.png"))])
                     for folder in (tmp_path / "data", tmp_path / "again"))  # fmt: skip
    moved = np.abs(after - before).mean((1, 2, 3))
    assert moved[0] > 20 and moved[1] < 2, moved
    assert said.startswith("8 pictures; a pixel moved by "), said


def test_claims_are_runs_that_go_on(tmp_path):
    small_pictures(tmp_path)
    asked = ["claims.py", tmp_path, "--epochs", 1, "--output", tmp_path / "claims"]
    ran(*asked, "--seeds", 1, "--nets", "plain")
    said = ran(*asked, "--seeds", 1, 2)
    ran(*asked, "--seeds", 1, "--nets", "plain", "--lr", 0.001)
    facts, *lines = map(json.loads, (tmp_path / "claims").read_text().splitlines())
    assert (facts["training"], facts["test"]) == (4, 4)
    assert len({(line["net"], line["seed"], line["lr"]) for line in lines}) == len(lines) == 17
    assert "plain, seed 1," not in said and "plain, seed 2, epoch 1/1: training loss" in said
    assert said.count("\n| ") == 6
    assert ran("claims.py", "--table", tmp_path / "claims") in said
    (tmp_path / "claims").write_text((tmp_path / "claims").read_text()[:-30])  # cut off in its last line
    assert "plain, seed 1, epoch 1/1" in ran(*asked, "--seeds", 1, "--nets", "plain", "--lr", 0.001)
    assert len(list(map(json.loads, (tmp_path / "claims").read_text().splitlines()[:-2]))) == 17
    assert json.loads((tmp_path / "claims").read_text().splitlines()[-1])["lr"] == 0.001
    diverged = ran(*asked, "--epochs", 3, "--seeds", 1, "--nets", "plain", "--lr", 1e30, status=1)
    assert "claims: the loss is nan; " in diverged and diverged.count("\n") == 1
    Image.new("RGB", (32, 32)).save(tmp_path / "test/b/0.png")
    assert "is there, and of other pictures" in ran(*asked, "--seeds", 1, status=1)


def test_the_authors_log_is_held_against_runs(tmp_path):
    """Of four pictures: their numbers, and of what is learned of so few that it is least after most steps."""
    small_pictures(tmp_path)
    said = ran("authors_log.py", tmp_path, "--seeds", 1, 2, "--output", tmp_path / "log.json").splitlines()
    rows = [line for line in said if line.startswith("| ")]
    assert rows[1].startswith("| training loss, epoch 1 | 2.026 | ") and len(rows) == 17
    assert rows[8].startswith("| test error then | 0.553 | ")
    assert rows[9].startswith("| mean \\|w\\| of conv1 | 0.0141 | ")
    runs = json.loads((tmp_path / "log.json").read_text(encoding="utf-8"))["runs"]
    assert [len(run["training"]) for run in runs] == [13, 13]
    for run in runs:
        assert abs(run["weights"]["conv2"][0] - 0.01 * (2 / np.pi) ** 0.5) < 3e-4  # as it was drawn, N(0, 0.01²)
        assert run["weights"]["fc10"][0] < 0.01 and all(v > 0 for _, v in run["weights"].values())
    assert runs[0]["test"] != runs[1]["test"]


def test_the_table_of_claims(tmp_path):
    def line(net, seed, error, epochs=2, lr=0.002):
        return {"net": net, "seed": seed, "epochs": epochs, "lr": lr, "test_errors": [0.5, error],
                "train_error": error / 2}  # fmt: skip

    errors = {"lrn": [0.17, 0.175, 0.18], "plain": [0.19, 0.19, 0.195], "one tower": [0.3]}
    runs = [line(net, seed, error) for net, each in errors.items() for seed, error in enumerate(each)]
    runs += [line("pools of 2", 0, 0.5, epochs=1), line("plain", 2, 0.9, lr=0.001)]  # a quick look, another rate: none
    (tmp_path / "claims").write_text("\n".join(map(json.dumps, runs)) + '\n{"net": "pla')
    said = ran("claims.py", "--table", tmp_path / "claims").splitlines()
    assert len(said) == 3
    # differences of 2, 1.5 and 1.5 points: t of two degrees of freedom is 4.303
    half = 4.303 * np.std([2, 1.5, 1.5], ddof=1) / 3**0.5
    assert said[2].endswith(f"| 17.00 (8.5) 17.50 (8.8) 18.00 (9.0) | 19.00 (9.5) 19.00 (9.5) 19.50 (9.8) | "
                            f"+1.67 ± {half:.2f} |")
