"""Whether the pictures of a folder are still those of before."""

from __future__ import annotations

import hashlib
import os

import numpy as np
from numpy.typing import NDArray

from .folder import ImageFolder

__all__ = ["changes", "listing"]


def listing(folder: ImageFolder) -> NDArray[np.uint64]:
    """Of every picture, in its order: a hash of its name, its size, and when it was changed: (N, 3)."""
    rows = np.zeros((len(folder), 3), np.uint64)
    for row, (path, _) in zip(rows, folder.samples, strict=True):
        name = os.fsencode(path.relative_to(folder.root).as_posix())
        row[0] = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
        try:
            stat = path.stat()
        except OSError:  # it is found bad when it is read
            continue
        row[1:] = stat.st_size, max(0, stat.st_mtime_ns)
    return rows


def changes(then: NDArray[np.uint64], now: NDArray[np.uint64], same_root: bool) -> str:
    """What is different between two listings, in words. Times are compared only where the folder is the same one: a
    copy may have others."""
    before, after = ({row[0]: row[1:] if same_root else row[1:2] for row in rows.tolist()} for rows in (then, now))
    counts = {"new": len(after.keys() - before.keys()), "gone": len(before.keys() - after.keys()),
              "changed": sum(after[name] != before[name] for name in after.keys() & before.keys())}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
