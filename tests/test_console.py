"""Commands on other people's terminals: another encoding, a closed or a full stream, names that command a terminal."""

import os
import subprocess
import sys

import pytest

from minicnn import console

PRINTS = "import sys; from minicnn import console; sys.exit(console.run(lambda: print({text}) or {status}, 'it'))"
KEEPS = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}


def shell(program, redirections="", **environment):
    """(status, stdout, stderr) of a Python program whose streams are what a shell makes of them."""
    run = subprocess.run(["/bin/sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, program],
                         capture_output=True, env=KEEPS | environment, check=False)  # fmt: skip
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize("environment", [
    {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252:strict"}, {"PYTHONIOENCODING": "cp437"},
    {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"LC_ALL": "nowhere.UTF-8"},
    {"PYTHONUTF8": "1"}], ids=str)  # fmt: skip
def test_no_character_is_an_error(environment):
    status, out, err = shell(PRINTS.format(text=r"'\u2192 caf\u00e9 \U0001f408 \udce9', file=sys.stderr", status=3),
                             **environment)  # fmt: skip
    assert (status, out) == (3, b"")
    assert rb"\udce9" in err  # half of a name that is no UTF-8
    assert err.count(b"\n") == 1


@pytest.mark.parametrize("command, status", [("doctor", 0), ("walkthrough", 0), ("gradcheck relu", 0), ("--version", 0),
                                             ("--help", 0), ("gradcheck naïve", 2)])  # fmt: skip
def test_every_command_speaks_ascii(command, status):
    run = subprocess.run([sys.executable, "-m", "minicnn", *command.split()], capture_output=True, check=False,
                         env=KEEPS | {"PYTHONIOENCODING": "ascii:strict"})  # fmt: skip
    assert run.returncode == status, run.stderr
    assert b"Traceback" not in run.stderr
    assert (run.stdout + run.stderr).isascii()


@pytest.mark.parametrize("text, redirections, status, words", [
    ("'some'", ">/dev/full", 1, b"it: what it prints cannot be written: No space left on device\n"),
    ("'many' * 10 ** 5", ">/dev/full", 1, b"it: what it prints cannot be written: No space left on device\n"),
    ("'some'", ">/dev/full 2>&1", 1, b""), ("'some'", ">/dev/full 2>&-", 1, b""), ("'some'", ">&-", 5, b""),
    ("'many' * 10 ** 5", ">&- 2>&-", 5, b""), ("'some'", "<&- >&- 2>&-", 5, b""), ("'some'", "2>/dev/full", 5, b""),
    ("'some', file=sys.stderr", "2>/dev/full", 1, b""), ("'some'", "<&-", 5, b"")])
def test_a_closed_or_a_full_stream_is_one_line_or_silence(text, redirections, status, words):
    found, _, err = shell(PRINTS.format(text=text, status=5), redirections)
    assert (found, err) == (status, words)


def test_nobody_reads_on():
    with subprocess.Popen([sys.executable, "-c", PRINTS.format(text="'x' * 10 ** 6", status=0)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:  # fmt: skip
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait() == 141


def test_a_closed_stream_leaves_its_number_to_no_file():
    program = "from minicnn import console; console.prepare(); import sys; sys.exit(open('/dev/zero').fileno())"
    assert shell(program, "<&- >&- 2>&-")[0] >= 3


def test_an_interrupt_has_its_status():
    program = "import sys; from minicnn import console\ndef main(): raise KeyboardInterrupt\nsys.exit({})"
    assert shell(program.format("console.run(main, 'it')")) == (130, b"", b"")


def test_what_is_not_of_a_stream_is_not_hidden():
    with pytest.raises(FileNotFoundError):
        console.run(lambda: len(os.listdir("/nowhere")), "it")


@pytest.mark.parametrize("name, shown", [
    ("größe $x^2$ \\ 犬", "größe $x^2$ \\ 犬"), ("a\nb", r"a\nb"), ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
    ("\udce9t\udce9", r"\udce9t\udce9"), ("a\u202eb\u2028c", r"a\u202eb\u2028c"), ("", "")])
def test_a_name_commands_no_terminal(name, shown):
    assert console.printable(name) == shown


def test_without_streams_as_under_pythonw(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert console.run(lambda: print("→") or 4, "it") == 4
    for stream in sys.stdin, sys.stdout, sys.stderr:
        stream.close()
