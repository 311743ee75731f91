"""Bytes between two ends."""

from __future__ import annotations

import os
import socket
import threading

from towline.agent.bridge import bridge


def start(source: int, target: int, sock: socket.socket) -> threading.Thread:
    thread = threading.Thread(target=bridge, args=(source, target, sock))
    thread.start()
    return thread


def read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


def test_both_ways_more_than_all_buffers_hold() -> None:
    near, far = socket.socketpair()
    stdin, feed = os.pipe()
    drain, stdout = os.pipe()
    thread = start(stdin, stdout, near)
    content = os.urandom(3 << 20)

    def echo() -> None:
        while data := far.recv(65536):
            far.sendall(data)
        far.close()

    def write() -> None:
        with open(feed, "wb") as file:
            file.write(content)

    workers = [threading.Thread(target=echo), threading.Thread(target=write)]
    for worker in workers:
        worker.start()
    received = bytearray()
    while len(received) < len(content):
        received += os.read(drain, 65536)
    assert received == content
    for worker in [*workers, thread]:
        worker.join(10)
        assert not worker.is_alive()
    near.close()
    for descriptor in (stdin, stdout, drain):
        os.close(descriptor)


def test_the_end_of_stdin_is_passed_on_and_the_last_answer_arrives() -> None:
    near, far = socket.socketpair()
    stdin, feed = os.pipe()
    drain, stdout = os.pipe()
    thread = start(stdin, stdout, near)
    os.write(feed, b"last question")
    os.close(feed)
    question = b""
    while data := far.recv(100):
        question += data
    assert question == b"last question"
    far.sendall(b"last answer")
    far.close()
    thread.join(10)
    os.close(stdout)
    assert read_all(drain) == b"last answer"
    near.close()
    os.close(stdin)


def test_the_end_of_the_socket_ends_it_though_stdin_stays_open() -> None:
    near, far = socket.socketpair()
    stdin, feed = os.pipe()
    drain, stdout = os.pipe()
    thread = start(stdin, stdout, near)
    far.close()
    thread.join(10)
    assert not thread.is_alive()
    near.close()
    for descriptor in (stdin, feed, drain, stdout):
        os.close(descriptor)
