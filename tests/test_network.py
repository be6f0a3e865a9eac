"""The guard that every test runs behind."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

ADDRESS = ("192.0.2.1", 9)  # for documentation, so nobody's

REACH: dict[str, Callable[[socket.socket], object]] = {
    "connect": lambda one: one.connect(ADDRESS),
    "connect_ex": lambda one: one.connect_ex(ADDRESS),
    "sendto": lambda one: one.sendto(b"x", ADDRESS),
    "getaddrinfo": lambda one: socket.getaddrinfo("example.org", 80),
}


@pytest.mark.parametrize("way", REACH)
@pytest.mark.parametrize("marked", [False, pytest.param(True, marks=pytest.mark.loopback)])
def test_no_test_reaches_another_machine(way: str, marked: bool) -> None:
    kind = socket.SOCK_DGRAM if way == "sendto" else socket.SOCK_STREAM
    with (
        socket.socket(socket.AF_INET, kind) as one,
        pytest.raises(RuntimeError, match="tried to use the network"),
    ):
        REACH[way](one)


def test_this_machine_is_another_one_unless_a_test_says_so() -> None:
    with socket.socket() as one, pytest.raises(RuntimeError, match="tried to use the network"):
        one.connect(("127.0.0.1", 9))


@pytest.mark.loopback
def test_this_machine_can_be_reached_by_tests_that_say_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as one:
        one.connect(server.getsockname())
