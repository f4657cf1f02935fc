"""What the demo's processes are given, and what they must never get."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from billing_console import demo_processes
from billing_console.demo_processes import DemoError, Ports, choose_ports, demo_environment, stand_in_program
from billing_console.env import VARIABLES
from billing_console.processes import PortBusy

PORTS = Ports(web=5999, taiga=9991, ninja=9992)


def test_nothing_of_an_installation_gets_into_the_demo() -> None:
    real = dict.fromkeys(VARIABLES, "real") | {f"{name}_FILE": "/run/secrets/real" for name in VARIABLES}

    environment = demo_environment(PORTS, {**real, "PATH": "/usr/bin", "SSL_CERT_FILE": "/etc/ca.pem"})

    assert "real" not in environment.values()
    assert "/run/secrets/real" not in environment.values()
    assert environment["PATH"] == "/usr/bin"
    assert environment["SSL_CERT_FILE"] == "/etc/ca.pem"
    # An installation's .env would fill in what is not set here.
    assert environment["ENV_FILE"] == ""


def test_the_demo_talks_to_the_stand_ins_on_this_machine_only() -> None:
    environment = demo_environment(PORTS, {})

    assert environment["ENVIRONMENT"] == "sandbox"
    assert environment["TAIGA_API"] == "http://127.0.0.1:9991/api/v1"
    assert environment["INVOICE_NINJA_API"] == "http://127.0.0.1:9992/api/v1"
    assert environment["PUBLIC_URL"] == "http://127.0.0.1:5999"
    assert "DATABASE_URL" not in environment
    program = stand_in_program(PORTS, environment, "async")
    assert list(program.argv[2:]) == [
        *("sandbox", "--host", "127.0.0.1", "--taiga-port", "9991", "--ninja-port", "9992"),
        *("--state", environment["SANDBOX_CLOCK_FILE"].removesuffix("/clock.json"), "--taiga-mode", "async"),
    ]


def test_port_0_is_a_free_one_and_a_busy_one_is_refused() -> None:
    ports = choose_ports(0, 0, 0)
    assert len({ports.web, ports.taiga, ports.ninja}) == 3

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortBusy, match="Address already in use"):
            choose_ports(0, other.getsockname()[1], 0)


def test_a_demo_that_is_continued_keeps_its_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ports.json"
    monkeypatch.setattr(demo_processes, "PORTS_FILE", file)
    assert demo_processes.ports_before() is None
    before = choose_ports(0, 0, 0)
    file.write_text(json.dumps(asdict(before)))

    known = demo_processes.ports_before()

    assert known == before
    assert choose_ports(0, 0, 0, before=known) == choose_ports(0, None, None, before=known) == before
    assert choose_ports(0, before.taiga, 0, before=known) == before


def test_a_stand_in_whose_usual_port_is_taken_takes_a_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        usual = choose_ports(0, 0, 0).ninja
        monkeypatch.setattr(demo_processes, "TAIGA_PORT", taken)
        monkeypatch.setattr(demo_processes, "NINJA_PORT", usual)

        ports = choose_ports(0, None, None)

    assert ports.taiga not in (taken, ports.ninja, 0)
    assert ports.ninja == usual


@pytest.mark.parametrize("option", ["port", "taiga-port", "ninja-port"])
def test_a_busy_port_that_was_asked_for_names_its_own_option(option: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        names = ("port", "taiga-port", "ninja-port")

        with pytest.raises(PortBusy) as caught:
            choose_ports(*(taken if name == option else 0 for name in names))

    assert str(caught.value) == (
        f"Port {taken} on 127.0.0.1 cannot be used (Address already in use): stop what uses it, "
        f"or choose another one, for example --{option} {min(taken + 1000, 65535)}."
    )


def test_a_continued_demo_whose_servers_port_is_taken_says_what_to_do() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        before = Ports(**{**asdict(choose_ports(0, 0, 0)), "taiga": taken})

        with pytest.raises(DemoError) as caught:
            choose_ports(0, None, None, before=before)

    assert str(caught.value) == (
        f"This demo was played with a server on port {taken}, which something else uses now: "
        "stop that, or start from nothing with --reset (make demo RESET=1)."
    )


@pytest.mark.parametrize("name", ["taiga", "ninja"])
def test_its_servers_do_not_move(name: str) -> None:
    before = choose_ports(0, 0, 0)
    asked = {"web": 0, "taiga": 0, "ninja": 0, name: 9}

    with pytest.raises(DemoError, match=rf"--taiga-port {before.taiga} --ninja-port {before.ninja}, or .* --reset"):
        choose_ports(**asked, before=before)
