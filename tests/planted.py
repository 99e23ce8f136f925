"""Puts another text in the place of a file: in this process, and in every Python that it starts.

A module is compiled from the other text, by whatever way it is found. A file that is read, such as a CUDA text, is read
otherwise. A script that is started is a copy with the other text. Nothing in the checkout is written.
"""

import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path


def plant(path, text, folder):
    """``text`` takes the place of the file ``path``. folder: a new one, for what is needed on the way.

    Returns a file that is there as soon as the text has been run or read.
    """
    path, folder = Path(path), Path(folder)
    note = folder / "seen"
    if path.suffix != ".py":
        in_what_is_read(path, text, note)
        return note
    in_what_is_imported(path, text, note)
    copy, start = folder / "copy" / path.name, folder / "start"
    copy.parent.mkdir()
    copy.write_text(text, encoding="utf-8")
    in_what_is_started(path, copy, note)
    start.mkdir()  # nothing else may be in it, since every Python that is started has it on its path
    (start / "sitecustomize.py").write_text(
        "import sys\n"
        "from pathlib import Path\n"
        f"sys.path.append({str(Path(__file__).parent)!r})\n"
        "from planted import in_what_is_imported\n"
        "sys.path.pop()\n"
        f"in_what_is_imported({str(path)!r}, Path({str(copy)!r}).read_text(encoding='utf-8'), Path({str(note)!r}))\n",
        encoding="utf-8")
    sys.path.insert(0, str(start))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(start), os.environ.get("PYTHONPATH")]))
    return note


def in_what_is_imported(path, text, note):
    compiled = SourceFileLoader.get_code

    def get_code(loader, name):
        if os.path.realpath(loader.path) != os.path.realpath(path):
            return compiled(loader, name)
        note.touch()
        return compile(text, loader.path, "exec", dont_inherit=True)

    SourceFileLoader.get_code = get_code


def in_what_is_read(path, text, note):
    read = Path.read_text

    def read_text(self, *options, **more):
        if self.name != path.name:
            return read(self, *options, **more)
        note.touch()
        return text

    Path.read_text = read_text


def in_what_is_started(path, copy, note):
    begin = subprocess.Popen.__init__

    def started(self, command, *options, **more):
        if not isinstance(command, (str, bytes)) and any(str(path) in str(word) for word in command):
            note.touch()
            command = [str(word).replace(str(path), str(copy)) for word in command]
        begin(self, command, *options, **more)

    subprocess.Popen.__init__ = started
