"""BuildTrigger: what it stores in Airflow's database, what it sends, and many of them on one event loop."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from asgiref.sync import async_to_sync

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.hooks.connection import mask_in_triggerer
from mkw_airflow_provider.triggers import build as trigger_module
from mkw_airflow_provider.triggers.build import BuildTrigger
from tests.airflow.conftest import Connect, Log
from tests.kit.tasks import only_event, through_database

BUILD = 5139
PATH = f"/api/v1/builds/{BUILD}"
MANY = 100


@pytest.fixture(autouse=True)
def _a_long_build(emulator: Emulator, connect: Connect, no_delays: None) -> None:
    emulator.set(build_seconds=60)
    emulator.start_build()


def _trigger(**arguments: Any) -> BuildTrigger:
    made = {"metakraftwerk_conn_id": "metakraftwerk_default", "build_id": BUILD, "poll_interval": 0.05, **arguments}
    return BuildTrigger(**made)


def _event(**arguments: Any) -> dict[str, Any]:
    return asyncio.run(only_event(through_database(_trigger(**arguments))))


async def _requests(emulator: Emulator, count: int, method: str = "GET", path: str = PATH) -> None:
    """Return when that number of requests has arrived."""
    while len(await asyncio.to_thread(emulator.requests, method, path)) < count:
        await asyncio.sleep(0.02)


class TestArguments:
    @pytest.mark.parametrize("deadline", [None, 1795313196.957])
    def test_survive_airflows_database(self, deadline: float | None) -> None:
        trigger = _trigger(deadline=deadline)
        again = through_database(trigger)
        assert type(again) is BuildTrigger
        assert again.serialize() == trigger.serialize()
        assert again.deadline == deadline

    def test_are_json_and_hold_no_secret(self, emulator: Emulator) -> None:
        """Airflow 3 stores them unencrypted."""
        path, arguments = _trigger(deadline=1.5).serialize()
        assert path == "mkw_airflow_provider.triggers.build.BuildTrigger"
        assert json.loads(json.dumps(arguments)) == {
            "metakraftwerk_conn_id": "metakraftwerk_default",
            "build_id": BUILD,
            "poll_interval": 0.05,
            "deadline": 1.5,
        }


class TestEvent:
    @pytest.mark.parametrize("status", ["FINISHED", "FAILED", "CANCELED"])
    def test_of_an_ended_build(self, emulator: Emulator, log: Log, status: str) -> None:
        log.once(f"Build {BUILD} is BUILDING", lambda: emulator.end_build(BUILD, status))
        payload = _event()
        assert (payload["outcome"], payload["build_id"], payload["deadline"]) == ("ended", BUILD, None)
        assert (payload["build"]["id"], payload["build"]["status"]) == (BUILD, status)
        assert [change[1] for change in payload["history"]["changes"]] == ["BUILDING", status]
        assert payload["history"]["polls"] == 2
        assert "error" not in payload

    def test_of_a_timeout(self) -> None:
        deadline = time.time() + 0.2
        payload = _event(deadline=deadline)
        assert (payload["outcome"], payload["build_id"], payload["deadline"]) == ("timeout", BUILD, deadline)
        assert payload["error"]["class"] == "BuildTimeoutError"
        assert payload["error"]["arguments"][0] == BUILD

    def test_passed_deadline_allows_a_poll(self, emulator: Emulator) -> None:
        assert _event(deadline=1.0)["outcome"] == "timeout"
        emulator.end_build(BUILD, "FINISHED")
        assert _event(deadline=1.0)["outcome"] == "ended"
        assert len(emulator.requests("GET", PATH)) == 2

    def test_of_an_error_has_class_and_message(self, emulator: Emulator) -> None:
        emulator.delete_build(BUILD)
        payload = _event()
        assert (payload["outcome"], payload["error"]["class"]) == ("error", "NotFoundError")
        assert payload["error"]["arguments"][:4] == [404, f"No record found for id '{BUILD}'", "GET", PATH]

    def test_of_a_connection_with_faults_names_them(self, connect: Connect) -> None:
        connect({"login": None}, read_timeout="soon")
        payload = _event()
        assert (payload["outcome"], payload["error"]["class"]) == ("error", "ConfigurationError")
        assert "read_timeout" in payload["error"]["arguments"][0]
        assert "login" in payload["error"]["arguments"][0]

    def test_of_an_invalid_ca_bundle(self, connect: Connect, tmp_path: Any) -> None:
        (tmp_path / "bundle.pem").write_text("no certificate")
        connect({"schema": "https"}, verify=str(tmp_path / "bundle.pem"))
        payload = _event()
        assert (payload["outcome"], payload["error"]["class"]) == ("error", "ConfigurationError")

    def test_of_a_missing_connection_names_it(self) -> None:
        payload = _event(metakraftwerk_conn_id="no_such_connection", outage_tolerance=0.1)
        assert (payload["outcome"], payload["error"]["class"]) == ("error", "WaitInterruptedError")
        assert "no_such_connection" in payload["error"]["arguments"][0]

    def test_missing_connection_at_deadline_is_timeout(self) -> None:
        payload = _event(metakraftwerk_conn_id="no_such_connection", deadline=time.time() + 0.1, limit="timeout")
        assert (payload["outcome"], payload["limit"]) == ("timeout", "timeout")
        assert "no_such_connection" in payload["cause"]

    def test_missing_connection_is_read_again(
        self, emulator: Emulator, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emulator.end_build(BUILD, "FINISHED")
        name, connection = "AIRFLOW_CONN_LATE", json.dumps(emulator.connection)
        log.once("could not read the connection 'late'", lambda: monkeypatch.setenv(name, connection))
        assert _event(metakraftwerk_conn_id="late")["outcome"] == "ended"

    @pytest.mark.parametrize(
        ("name", "value"),
        [("build_id", "5x"), ("build_id", None), ("deadline", "soon"), ("deadline", float("nan"))]
        + [("poll_interval", value) for value in ("x", 0, -1, None, float("inf"))],
    )
    def test_of_a_row_with_a_wrong_type_is_an_error(self, name: str, value: Any) -> None:
        trigger = _trigger(**{name: value})
        payload = asyncio.run(only_event(trigger))
        assert payload["outcome"] == "error"

    def test_is_made_outside_the_event_loop(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        threads: list[int] = []
        monkeypatch.setattr(Build, "to_dict", lambda build: threads.append(threading.get_ident()) or {"id": build.id})
        emulator.end_build(BUILD, "FINISHED")
        _event()
        assert threads
        assert threading.get_ident() not in threads

    def test_holds_no_secret(self, emulator: Emulator) -> None:
        emulator.fault("expired", path=PATH, times=None)
        sent = json.dumps(_event())
        tokens = [item["token"] for item in emulator.tokens()]
        assert len(tokens) == 2
        for secret in (*tokens, emulator.connection["password"]):
            assert secret not in sent


class TestHold:
    """Airflow may fail a task whose trigger fires before the task is recorded as deferred."""

    def test_is_five_seconds_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        assert trigger_module.EARLIEST_EVENT == 5.0

    def test_delays_an_early_event(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trigger_module, "EARLIEST_EVENT", 3600.0)
        emulator.end_build(BUILD, "FINISHED")

        async def watch() -> bool:
            waiting = asyncio.create_task(only_event(_trigger()))
            await _requests(emulator, 1)
            # The response has been sent; these iterations are enough to read it.
            for _ in range(50):
                await asyncio.sleep(0.01)
            done = waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})
            return done

        assert asyncio.run(watch()) is False
        assert len(emulator.requests("GET", PATH)) == 1

    def test_does_not_delay_a_later_event(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trigger_module, "EARLIEST_EVENT", 0.1)
        emulator.end_build(BUILD, "FINISHED")
        assert _event()["outcome"] == "ended"
        assert len(emulator.requests("GET", PATH)) == 1


class TestMany:
    @pytest.fixture(autouse=True)
    def _no_other_connections(self, emulator: Emulator, connect: Connect) -> None:
        """Connections of earlier tests close when their tasks are garbage-collected, which some Pythons delay."""
        # A busy machine takes seconds for a login of many.
        connect(connect_timeout=30, read_timeout=60, outage_tolerance=60)
        gc.collect()
        ends = time.monotonic() + 10
        while emulator.connections()["open"]:
            assert time.monotonic() < ends, "a task of an earlier test is still referenced"
            time.sleep(0.02)

    def test_share_one_login_and_a_few_connections(self, emulator: Emulator) -> None:
        before = emulator.connections()["accepted"]

        async def watch() -> tuple[list[dict[str, Any]], dict[str, int], int]:
            waiting = [asyncio.create_task(only_event(_trigger())) for _ in range(MANY)]
            await _requests(emulator, 3 * MANY)
            connections = await asyncio.to_thread(emulator.connections)
            beats = await _beats_until(waiting, lambda: emulator.end_build(BUILD, "FINISHED"))
            return list(await asyncio.gather(*waiting)), connections, beats

        payloads, connections, beats = asyncio.run(watch())
        assert [payload["outcome"] for payload in payloads] == ["ended"] * MANY
        assert len(emulator.requests("POST", "/authentication")) == 1
        assert 1 <= connections["open"] <= 10
        assert connections["accepted"] - before <= 10
        assert emulator.connections()["open"] == 0
        assert beats > 0

    def test_two_connections_log_in_separately(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_VIEWER", json.dumps(emulator.connection_for("viewer@example.com")))

        async def watch() -> list[dict[str, Any]]:
            own, others = only_event(_trigger()), only_event(_trigger(metakraftwerk_conn_id="viewer"))
            waiting = asyncio.gather(own, others)
            await _requests(emulator, 6)
            await asyncio.to_thread(emulator.end_build, BUILD, "FINISHED")
            return list(await waiting)

        assert [payload["outcome"] for payload in asyncio.run(watch())] == ["ended", "ended"]
        assert {request["user_id"] for request in emulator.requests("GET", PATH)} == {1, 2}
        assert len(emulator.requests("POST", "/authentication")) == 2

    def test_canceled_one_does_not_affect_others(self, emulator: Emulator) -> None:
        async def watch() -> tuple[dict[str, Any], int]:
            first, second = (asyncio.create_task(only_event(_trigger())) for _ in range(2))
            await _requests(emulator, 6)
            first.cancel()
            await asyncio.wait({first})
            seen = len(emulator.requests("GET", PATH))
            await _requests(emulator, seen + 3)
            await asyncio.to_thread(emulator.end_build, BUILD, "FINISHED")
            payload = await second
            return payload, (await asyncio.to_thread(emulator.connections))["open"]

        payload, after = asyncio.run(watch())
        assert payload["outcome"] == "ended"
        assert after == 0

    def test_last_canceled_one_closes_the_session(self, emulator: Emulator) -> None:
        async def watch() -> int:
            waiting = asyncio.create_task(only_event(_trigger()))
            await _requests(emulator, 3)
            waiting.cancel()
            await asyncio.wait({waiting})
            return (await asyncio.to_thread(emulator.connections))["open"]

        assert asyncio.run(watch()) == 0

    def test_failed_login_is_retried(self, emulator: Emulator) -> None:
        emulator.fault("status", status=503, path="/authentication", times=2)

        async def watch() -> list[dict[str, Any]]:
            waiting = asyncio.gather(*(only_event(_trigger()) for _ in range(5)))
            await _requests(emulator, 5)
            await asyncio.to_thread(emulator.end_build, BUILD, "FINISHED")
            return list(await waiting)

        assert [payload["outcome"] for payload in asyncio.run(watch())] == ["ended"] * 5
        assert [item["status"] for item in emulator.requests("POST", "/authentication")] == [503, 503, 201]

    def test_refused_login_is_sent_once_for_all(self, emulator: Emulator) -> None:
        """A thousand waits with a rotated password must not lock the account."""
        emulator.fault("status", status=401, path="/authentication", times=None)

        async def watch() -> list[dict[str, Any]]:
            first = await asyncio.gather(*(only_event(_trigger()) for _ in range(5)))
            return [*first, await only_event(_trigger())]

        payloads = asyncio.run(watch())
        assert [payload["error"]["class"] for payload in payloads] == ["NotAuthenticatedError"] * 6
        assert len(emulator.requests("POST", "/authentication")) == 1

    def test_expired_token_is_renewed_once_for_all(self, emulator: Emulator) -> None:
        async def watch() -> list[dict[str, Any]]:
            waiting = asyncio.gather(*(only_event(_trigger()) for _ in range(20)))
            await _requests(emulator, 40)
            await asyncio.to_thread(emulator.expire_tokens)
            await _requests(emulator, 2, "POST", "/authentication")
            await asyncio.to_thread(emulator.end_build, BUILD, "FINISHED")
            return list(await waiting)

        assert [payload["outcome"] for payload in asyncio.run(watch())] == ["ended"] * 20
        assert len(emulator.requests("POST", "/authentication")) == 2


async def _beats_until(waiting: list[asyncio.Task[dict[str, Any]]], end: Any) -> int:
    """Count the iterations of another coroutine of the same loop while all these wait, and then end them."""
    beats = 0
    ends = time.monotonic() + 1.0
    while time.monotonic() < ends:  # the iterations are counted
        await asyncio.sleep(0.01)
        beats += 1
    assert not any(task.done() for task in waiting)
    await asyncio.to_thread(end)
    return beats


class Supervisor:
    """The supervisor of a triggerer of Airflow 3.0 and 3.1: one stream, which one event loop may read."""

    def __init__(self) -> None:
        self.loops: list[asyncio.AbstractEventLoop] = []

    def send(self, _: Any) -> None:
        async_to_sync(self.asend)(None)

    async def asend(self, _: Any) -> None:
        self.loops.append(asyncio.get_running_loop())


@pytest.mark.skipif(airflow_version.startswith("2."), reason="a triggerer of Airflow 2 has no supervisor")
def test_secrets_are_masked_on_the_triggers_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another loop would read a response that is meant for the triggerer, which then crashes."""
    from airflow.sdk.execution_time import task_runner

    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)

    async def mask() -> asyncio.AbstractEventLoop:
        await mask_in_triggerer("a secret of the triggerer")
        return asyncio.get_running_loop()

    assert supervisor.loops == [asyncio.run(mask())]


def test_triggerer_log_shows_the_wait(emulator: Emulator, log: Log) -> None:
    log.once(f"Build {BUILD} is BUILDING", lambda: emulator.end_build(BUILD, "FINISHED"))
    _event()
    assert [line.split(",")[0] for line in log.lines] == [f"Build {BUILD} is BUILDING", f"Build {BUILD} is FINISHED"]


def test_kill_logs_that_the_build_is_running(log: Log) -> None:
    asyncio.run(_trigger().on_kill())
    assert log.warnings == [
        f"Stopped waiting for build {BUILD}. If it has not ended, it is still running: the API cannot cancel builds."
    ]
