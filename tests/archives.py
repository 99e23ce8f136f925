"""What the tests of archives share: a folder of pictures in every kind of archive."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path


def files_of(folder):
    """[(path in the folder, bytes)] of all its files, sorted."""
    return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in sorted(folder.rglob("*"))
            if path.is_file()]  # fmt: skip


def tar(path, files, form=tarfile.GNU_FORMAT):
    """A tar of (name, bytes), or of tarfile's own descriptions. Returns the path."""
    with tarfile.open(path, "w", format=form) as out:
        for name, data in files:
            entry = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
    return path


def plain_tar(folder, to):
    return tar(to / "set.tar", files_of(folder))


def tar_with_a_folder(folder, to):
    """As tar makes it of a folder: names with ./ before them, and folders as members of their own."""
    with tarfile.open(to / "set.tar", "w", format=tarfile.PAX_FORMAT) as out:
        out.add(folder, "./my pictures")
    return to / "set.tar"


def tars_of_classes(folder, to):
    """A folder of tars, one for each class."""
    (to / "set").mkdir()
    for each in folder.iterdir():
        tar(to / "set" / f"{each.name}.tar", [(name, data) for name, data in files_of(each)])
    return to / "set"


def tar_of_tars(folder, to):
    """As ImageNet's own file."""
    path = tar(to / "set.tar", files_of(tars_of_classes(folder, to)))
    shutil.rmtree(to / "set")
    return path


def shards(folder, to):
    """As WebDataset makes them: a number beside each picture, in no order of classes."""
    numbers = {each.name: str(i) for i, each in enumerate(sorted(folder.iterdir()))}
    files = files_of(folder)
    for shard in range(3):
        parts = []
        for i, (name, data) in list(enumerate(files))[shard::3]:
            key, suffix = f"s{shard}/{i:06d}", Path(name).suffix
            parts += [
                (f"{key}.json", b"{}"),
                (f"{key}{suffix}", data),
                (f"{key}.cls", numbers[Path(name).parts[0]].encode()),
            ]
        tar(to / f"set-{shard:03d}.tar", parts)
    return to / "set-{000..002}.tar"


def zipped(folder, to, how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(to / "set.zip", "w", how) as out:
        out.mkdir("set")
        for name, data in files_of(folder):
            out.writestr(f"set/{name}", data)
    return to / "set.zip"


def deflated(folder, to):
    return zipped(folder, to, zipfile.ZIP_DEFLATED)


KINDS = [plain_tar, tar_with_a_folder, tars_of_classes, tar_of_tars, shards, zipped, deflated]
