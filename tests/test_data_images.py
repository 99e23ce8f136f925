"""Whether the pictures are still those of before, and in what they differ."""
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import make_folder

from minicnn.data import ImageFolder
from minicnn.data.images import changes


def replace(root):
    """Another picture of the same name and size."""
    path = root / "cat" / "1.png"
    size, data = path.stat().st_size, path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert path.stat().st_size == size
    os.utime(path, ns=(1, 1))


def lengthen(root):
    """A larger file, whose time was put back."""
    path = root / "cat" / "1.png"
    time = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes() + b"more")
    os.utime(path, ns=(time, time))


CHANGES = {
    "nothing": (lambda root: None, "", True),
    "one more": (lambda root: (root / "cat" / "a.png").write_bytes(b"1"), "1 new", False),
    "one less": (lambda root: (root / "dog" / "5.png").unlink(), "1 gone", False),
    "of another size": (lambda root: (root / "dog" / "5.png").write_bytes(b"1"), "1 changed", True),
    "of another size, at the same time": (lengthen, "1 changed", True),
    "of the same size": (replace, "1 changed", True),
    "another name": (lambda root: (root / "dog" / "5.png").rename(root / "dog" / "05.png"), "1 new, 1 gone", False),
    "another class": (lambda root: (root / "dog" / "5.png").rename(root / "cat" / "9.png"), "1 new, 1 gone", False),
    "a dangling link": (lambda root: ((root / "dog" / "5.png").unlink(),
                                      (root / "dog" / "5.png").symlink_to("nowhere")), "1 changed", True),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words", "same_order"), CHANGES.values(), ids=CHANGES)
def test_what_changed_is_said(tmp_path, change, words, same_order):
    before = make_folder(tmp_path, 6).listing()
    change(tmp_path)
    now = ImageFolder(tmp_path).listing()
    assert changes(before, now, same_root=True) == words
    assert np.array_equal(before[:, 0], now[:, 0]) == same_order


def test_a_copy_elsewhere_is_the_same(tmp_path):
    one, other = (make_folder(tmp_path / name, 3).listing() for name in ("one", "other"))
    other[:, 2] += np.uint64(10**9)
    assert changes(one, other, same_root=False) == ""
    assert changes(one, other, same_root=True) == "6 changed"
    with (tmp_path / "other" / "cat" / "1.png").open("ab") as file:
        file.write(b"more")
    assert changes(one, ImageFolder(tmp_path / "other").listing(), same_root=False) == "1 changed"


NAMES = st.integers(0, 9) | st.integers(0, 2**64 - 1)
LISTING = st.dictionaries(NAMES, st.tuples(*[st.integers(0, 2)] * 2), max_size=9)


@given(LISTING, LISTING, st.booleans(), st.randoms())
def test_changes_are_those_of_dictionaries(then, now, same_root, random):
    def rows(listing):
        pairs = list(listing.items())
        random.shuffle(pairs)
        return np.array([(name, *rest) for name, rest in pairs], np.uint64).reshape(-1, 3)

    kept = 2 if same_root else 1
    counts = {"new": len(now.keys() - then), "gone": len(then.keys() - now),
              "changed": sum(then[name][:kept] != now[name][:kept] for name in then.keys() & now)}  # fmt: skip
    assert changes(rows(then), rows(now), same_root) == ", ".join(f"{n} {what}" for what, n in counts.items() if n)
