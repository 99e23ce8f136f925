"""The watcher of the ranks: who goes without a word is named, and who lets all others wait."""

import socket
import threading
import time

import pytest

from minicnn.training import watch


class Watched:
    """A watcher in a thread, and ranks that are mere connections."""

    def __init__(self, count):
        self.listening = socket.create_server(("localhost", 0))
        self.thread = threading.Thread(target=watch.watch, args=(self.listening, count, "key", "program"), daemon=True)
        self.thread.start()
        self.ranks = [socket.create_connection(self.listening.getsockname()) for _ in range(count)]
        for i, rank in enumerate(self.ranks):
            rank.sendall(f"keyhello rank {i} on b (process {100 + i})\n".encode())

    def tell(self, rank, *words):
        for word in words:
            self.ranks[rank].sendall(f"key{word}\n".encode())

    def end(self, *ranks):
        for rank in ranks:
            self.ranks[rank].close()

    def said(self, capsys):
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.listening.close()
        return capsys.readouterr().err


def until(words, capsys):
    """What was said until these words, or for a while."""
    said, begun = "", time.monotonic()
    while words not in said and time.monotonic() - begun < 20:
        time.sleep(0.02)
        said += capsys.readouterr().err
    return said


@pytest.fixture
def watched():
    return Watched(3)


def test_the_first_that_goes_without_a_word_is_named_and_no_other(watched, capsys):
    watched.tell(0, "bye")
    watched.end(0)
    watched.end(2)
    said = until("rank 2", capsys)
    watched.end(1)
    assert said.count("\n") == 1
    assert "program: rank 2 on b (process 102) has died: it was killed, as by want of memory, or it crashed" in said
    assert watched.said(capsys) == ""


def test_who_says_goodbye_is_not_missed(watched, capsys):
    for rank in range(3):
        watched.tell(rank, "bye")
    watched.end(0, 1, 2)
    assert watched.said(capsys) == ""


def test_where_one_ends_all_the_others_are_not_named(watched, capsys):
    watched.tell(1, "over")
    watched.thread.join(4)
    watched.end(0, 1, 2)
    assert watched.said(capsys) == ""


def test_strangers_are_not_heard(watched, capsys):
    watched.ranks[0].sendall(b"over\nhello nobody\n")
    with socket.create_connection(watched.listening.getsockname()) as stranger:
        stranger.sendall(b"hello, too\n")
        assert stranger.recv(10) == b"", "it is not listened to"
    with socket.create_connection(watched.listening.getsockname()) as stranger:
        stranger.sendall(2000 * b"x")
        assert stranger.recv(10) == b""
    for rank in range(3):
        watched.tell(rank, "bye")
    watched.end(0, 1, 2)
    assert watched.said(capsys) == ""


def test_who_lets_all_others_wait_is_named_once(watched, capsys, monkeypatch):
    monkeypatch.setattr(watch, "SILENT", 0.1)
    watched.tell(0, "waiting", "busy", "waiting")
    watched.tell(2, "waiting")
    said = until("rank 1", capsys)
    assert "program: all others have waited for rank 1 on b (process 101) for 0 s: is it stopped, or its disk" in said
    for rank in range(3):
        watched.tell(rank, "bye")
    watched.end(0, 1, 2)
    assert watched.said(capsys) == ""


def test_a_watcher_to_whom_nobody_comes_ends(capsys, monkeypatch):
    monkeypatch.setattr(watch, "GRACE", 0.1)
    assert Watched(0).said(capsys) == ""
    listening = socket.create_server(("localhost", 0))
    watch.watch(listening, 2, "key", "program")
    listening.close()
