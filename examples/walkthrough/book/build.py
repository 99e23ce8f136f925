"""Builds the book."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from .api import api_pages
from .index import index_page
from .pages import chapter_page, framed

__all__ = ["build"]

MOST = 15_000_000  # bytes, of all pages
MARK = ".minicnn-book"  # a list of the files that are the book's


def build(folder: Path, chapters: list[Path]) -> dict[str, int]:
    """Writes the pages of these chapters, of the public names and the index into a folder; the size of each file
    in bytes. Raises ValueError where the folder holds anything that is not a book of ours, and where the book becomes
    too large; OSError where nothing can be written there."""
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"book: {folder} is a file: name a folder")
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise ValueError(f"book: {folder} is not empty, and no book: name a new folder")
    try_to_write(folder)
    pages = []
    for path in chapters:
        pages.append(chapter_page(path))
        print(f"computed: {pages[-1].title}", flush=True)
    reference, files = api_pages(), {}
    for group in (pages, reference):
        order = [(page.file, page.title) for page in group]
        files |= {page.file: framed(page, order) for page in group}
    files["index.html"] = framed(index_page(pages, reference), [])
    sizes = {file: len(text.encode()) for file, text in files.items()}
    if sum(sizes.values()) > MOST:
        raise ValueError(f"book: its pages have {sum(sizes.values()):,} bytes, more than {MOST:,}: {sizes}")
    folder.mkdir(parents=True, exist_ok=True)
    for old in mark.read_text(encoding="utf-8").splitlines() if mark.exists() else ():
        if old not in files and Path(old).name == old:
            (folder / old).unlink(missing_ok=True)
    mark.write_text("\n".join(files) + "\n", encoding="utf-8")
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
        print(f"{sizes[file] / 1000:8,.0f} kB  {file}")
    return sizes


def try_to_write(folder: Path) -> None:
    """Raises OSError where that is not possible: before the work of minutes, not behind it. Leaves nothing."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        pass
    if new:
        folder.rmdir()
