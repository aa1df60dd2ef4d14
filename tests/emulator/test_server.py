from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request

import pytest
import trustme

from mkw_airflow_provider.emulator import Control, Emulator

BUILD = {"project": "DEMO_PROJECT", "instances": [{"id": 1001}]}


@pytest.fixture
def certificate(tmp_path):
    """Files of a certificate for 127.0.0.1, its key and the authority that signed it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    paths = [tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem")]
    paths[0].write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    paths[1].write_bytes(issued.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(paths[2]))
    return paths


def test_restart_keeps_port_and_state(client):
    with Emulator(build_seconds=1000) as emulator:
        demo = client(emulator.url).log_in("demo@example.com")
        demo.post("/builds", BUILD)
        emulator.set(progress="stuck")
        emulator.fault("status", skip=1, status=500)
        port = emulator.port
        emulator.stop()
        assert emulator.running is False
        with pytest.raises(ConnectionRefusedError):
            demo.get("/builds")
        emulator.start()
        assert emulator.port == port
        assert demo.get("/builds/5139").json["status"] == "BUILDING"
        assert [entry["method"] for entry in emulator.requests()] == ["POST", "POST", "GET"]
        assert emulator.switches()["progress"] == "stuck"
        assert len(emulator.faults()) == 1


def test_file_keeps_state_and_builds_continue(tmp_path, client):
    file = tmp_path / "emulator.db"
    with Emulator(file, build_seconds=0.3) as emulator:
        demo = client(emulator.url).log_in("demo@example.com")
        demo.post("/builds", BUILD)
        assert demo.get("/builds/5139").json["status"] == "BUILDING"
    with Emulator(database=file) as emulator:
        again = client(emulator.url, demo.token)
        assert again.ended(5139)["status"] == "FINISHED"
        assert again.get("/downloads/5442").body[:2] == b"PK"
        assert emulator.requests(method="POST")[-1]["body"] == BUILD


def test_memory_is_lost_after_the_context():
    emulator = Emulator()
    with emulator:
        emulator.start_build()
    with emulator:
        assert emulator.builds() == []


def test_a_file_of_another_version_is_refused(tmp_path):
    import sqlite3

    file = tmp_path / "emulator.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ValueError, match="another version"):
        Emulator(file).start()


def test_stop_aborts_waiting_requests(client):
    with Emulator(build_seconds=1000) as emulator:
        demo = client(emulator.url).log_in("demo@example.com")
        outcome: list[Exception] = []

        def wait() -> None:
            try:
                demo.post("/builds", BUILD | {"wait": True})
            except (OSError, http.client.HTTPException) as error:
                outcome.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not emulator.builds():
            pass
        emulator.stop()
        waiting.join(10)
        assert isinstance(outcome[0], (http.client.RemoteDisconnected, ConnectionResetError))
        emulator.start()
        assert emulator.requests()[-1]["status"] is None
        emulator.set(build_seconds=0.05)
        assert demo.post("/builds", BUILD | {"wait": True}).json["build"]["status"] == "FINISHED"


def test_start_fails_twice_stop_does_not():
    with Emulator() as emulator:
        with pytest.raises(RuntimeError, match=emulator.url):
            emulator.start()
        emulator.stop()
        emulator.stop()


def test_one_emulator_per_database_file(tmp_path):
    file = tmp_path / "emulator.db"
    with Emulator(file) as first:
        first.start_build()
        with pytest.raises(ValueError, match="is in use by another emulator"):
            Emulator(file).start()
        assert len(first.builds()) == 1
    with Emulator(file) as second:
        assert len(second.builds()) == 1


@pytest.mark.parametrize("host", ["", " "])
def test_an_empty_host_is_refused(host):
    with pytest.raises(ValueError, match="The host is empty"):
        Emulator(host=host)


def test_port_in_use():
    with Emulator() as first, pytest.raises(OSError, match="Address already in use"):
        Emulator(port=first.port).start()


def test_two_emulators_are_independent():
    with Emulator() as first, Emulator() as second:
        first.start_build()
        assert (len(first.builds()), second.builds()) == (1, [])


def test_hundreds_of_open_connections():
    with Emulator() as emulator:
        clients = [socket.create_connection(("127.0.0.1", emulator.port), timeout=10) for _ in range(400)]
        for one in clients:
            one.sendall(b"GET /api/v1/builds HTTP/1.1\r\nHost: x\r\n\r\n")
        assert {one.recv(12) for one in clients} == {b"HTTP/1.1 401"}
        assert emulator.connections() == {"accepted": 400, "open": 400}
        for one in clients:
            one.close()


def test_accepted_connections_have_tcp_nodelay(client):
    with Emulator() as emulator:
        connection = client(emulator.url).connect()
        connection.connect()
        connection.request("GET", "/api/v1/builds")
        connection.getresponse().read()
        transports = emulator._parts[2]._open
        options = {
            one.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in transports
        }
        connection.close()
    assert options == {1}


def test_tls_with_a_custom_certificate(certificate, client):
    cert, key, authority = certificate
    with Emulator(tls_cert=cert, tls_key=key) as emulator:
        assert emulator.connection["schema"] == "https"
        assert client(emulator.url).log_in("demo@example.com").get("/projects").status == 200
        assert emulator.requests()[-1]["path"] == "/api/v1/projects"
        trusting = ssl.create_default_context(cafile=str(authority))
        assert Control(emulator.url, trusting).health()["status"] == "up"
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            Control(emulator.url).health()


@pytest.mark.parametrize("action", ["reset", "close"])
def test_connections_break_under_tls(certificate, client, action):
    with Emulator(tls_cert=certificate[0], tls_key=certificate[1]) as emulator:
        demo = client(emulator.url).log_in("demo@example.com")
        emulator.fault(action)
        with pytest.raises((OSError, http.client.HTTPException)):
            demo.get("/projects")
        assert emulator.requests()[-1]["fault"] == action
        assert demo.get("/projects").status == 200


def test_unreadable_certificate(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        Emulator(tls_cert=tmp_path / "none.pem").start()


def test_proxies_are_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert urllib.request.getproxies()["http"] == "http://127.0.0.1:9"
    with Emulator() as emulator:
        assert emulator.health()["status"] == "up"


def test_folders_import_in_one_direction(repository):
    layers = ["state", "http", "faults", "api"]
    package = repository / "mkw_airflow_provider" / "emulator"
    upward = [
        (path.name, other)
        for number, layer in enumerate(layers)
        for path in (package / layer).glob("*.py")
        for other in layers[number + 1 :]
        if f"mkw_airflow_provider.emulator.{other}" in path.read_text("utf-8")
    ]
    assert upward == []


def test_import_loads_no_server():
    code = (
        "import sys, mkw_airflow_provider.emulator.pytest_plugin\n"
        "heavy = {'fastapi', 'starlette', 'uvicorn', 'pydantic', 'airflow', 'sqlite3', 'requests', 'aiohttp'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_emulator_needs_no_other_module():
    code = (
        "import sys\n"
        "from mkw_airflow_provider.emulator import Emulator\n"
        "with Emulator() as emulator: emulator.start_build()\n"
        "print([name for name in sorted(sys.modules) if name.startswith('mkw_airflow_provider.')\n"
        "       and not name.startswith('mkw_airflow_provider.emulator')], 'airflow' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[] False\n"
    )
