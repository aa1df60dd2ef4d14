"""BuildFinishedTrigger on the emulator: an event for each build that finishes, in bursts, restarts and outages."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.triggers import watch_builds
from mkw_airflow_provider.triggers.events import BuildFinishedTrigger
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_0_PLUS
from tests.airflow.conftest import Connect, Log
from tests.airflow.watching import BUILDS, Server, needs_watchers, play, watcher
from tests.kit.asset_store import AssetStore
from tests.kit.triggers import through_database
from tests.kit.watchers import Watchers, until


@pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="Airflow 3 has watchers")
def test_airflow_2_has_no_watchers() -> None:
    with pytest.raises(ConfigurationError, match="needs Airflow 3"):
        watcher()


@needs_watchers
class TestArguments:
    def test_survive_airflows_database(self) -> None:
        trigger = watcher(pattern="CORE_DV_HLS", user="demo")
        again = through_database(trigger)
        assert again.serialize() == trigger.serialize()
        assert json.dumps(trigger.serialize()[1])

    def test_of_another_version_are_ignored(self) -> None:
        assert watcher(from_the_future=1).serialize() == watcher().serialize()

    @pytest.mark.parametrize(
        "arguments",
        [
            {"asset": ""},
            {"asset": None},
            {"project_id": 402},
            {"poll_interval": 0},
            {"project_id": "x", "project": None},
        ],
    )
    def test_wrong_ones_fail_at_parse_time(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError):
            watcher(**arguments)

    def test_two_assets_have_two_triggers(self) -> None:
        rows = [watcher(asset=asset).serialize() for asset in ("a", "b")]
        assert len({BuildFinishedTrigger.hash(*row) for row in rows}) == 2

    def test_poll_interval_has_a_floor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        assert watcher(poll_interval=1).poll_interval == 3.0

    def test_are_accepted_by_airflow(self) -> None:
        from airflow.sdk import Asset, AssetWatcher

        (added,) = Asset("builds", watchers=[AssetWatcher("builds", trigger=watcher())]).watchers
        assert added.trigger is not None


@needs_watchers
class TestEvents:
    def test_payload_is_the_build(self, server: Server) -> None:
        async def test() -> None:
            async with Watchers() as watchers:
                watching = watchers.start(watcher(), AssetStore())
                await server.more_polls()
                number = await server.build(description="by hand")
                await until(lambda: watching.payloads)
            (payload,) = watching.payloads
            assert (payload["id"], payload["status"], payload["description"]) == (number, "FINISHED", "by hand")
            assert [file["pattern"] for file in payload["downloads"]] == ["CORE_DV_HLS"]

        play(test)

    def test_payload_is_made_outside_the_event_loop(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        threads: list[int] = []
        monkeypatch.setattr(Build, "to_dict", lambda build: threads.append(threading.get_ident()) or {"id": build.id})

        async def test() -> None:
            async with Watchers() as watchers:
                watching = watchers.start(watcher(), AssetStore())
                await server.more_polls()
                await server.build()
                await until(lambda: watching.payloads)
            assert threading.get_ident() not in threads

        play(test)

    def test_each_build_of_a_burst_is_reported_once(self, server: Server) -> None:
        async def test() -> None:
            async with Watchers() as watchers:
                watching = watchers.start(watcher(), AssetStore())
                await server.more_polls()
                builds = await server.start(12)
                await server.finish(*reversed(builds))
                await until(lambda: len(watching.builds) >= 12)
                await server.more_polls()
            assert sorted(watching.builds) == builds

        play(test)

    def test_old_and_failed_builds_are_not_reported(self, server: Server) -> None:
        async def test() -> None:
            await server.build()
            running, failing = await server.start(2)
            async with Watchers() as watchers:
                watching = watchers.start(watcher(), AssetStore())
                await server.more_polls()
                await server.finish(failing, status="FAILED")
                await server.finish(running)
                await until(lambda: watching.builds)
                await server.more_polls()
            assert watching.builds == [running]

        play(test)

    @pytest.mark.parametrize("filters", [{"pattern": "CORE_DV_HLS"}, {"user": "demo"}])
    def test_filters_by_pattern_and_user(self, server: Server, filters: dict[str, str]) -> None:
        async def test() -> None:
            server.emulator.add_pattern("OTHER")
            other = server.emulator.add_instance("X", pattern="OTHER", folder="/X")
            async with Watchers() as watchers:
                watching = watchers.start(watcher(**filters), AssetStore())
                await server.more_polls()
                await server.build(instances=[other], user="viewer")
                wanted = await server.build()
                await until(lambda: watching.builds)
            assert watching.builds == [wanted]

        play(test)


@needs_watchers
class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"project": "NO_PROJECT"}, "A project with the name 'NO_PROJECT' does not exist!"),
            ({"project": None}, "no project to watch"),
            ({"metakraftwerk_conn_id": "no_such"}, "no_such"),
        ],
    )
    def test_final_ones_are_logged_and_retried(
        self, server: Server, log: Log, arguments: dict[str, Any], words: str
    ) -> None:
        async def test() -> None:
            async with Watchers() as watchers:
                watching = watchers.start(watcher(**arguments), AssetStore())
                await until(lambda: len([line for line in log.lines if words in line]) >= 2)
                assert watching.task is not None
                assert not watching.task.done()

        play(test)

    def test_are_logged_once_a_minute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        assert watch_builds.PAUSE_AFTER_ERROR == 60.0

    def test_missing_permission_is_logged(self, server: Server, log: Log, connect: Connect) -> None:
        outsider = server.emulator.connection_for("outsider@example.com")
        connect({"login": outsider["login"], "password": outsider["password"]})

        async def test() -> None:
            async with Watchers() as watchers:
                watchers.start(watcher(), AssetStore())
                await until(lambda: any("You don't have permissions to access" in line for line in log.lines))

        play(test)

    def test_project_created_later_is_watched(self, server: Server, log: Log) -> None:
        async def test() -> None:
            async with Watchers() as watchers:
                watching = watchers.start(watcher(project="LATER"), AssetStore())
                await until(lambda: any("does not exist" in line for line in log.lines))
                server.emulator.add_project("LATER")
                instance = server.emulator.add_instance("X", pattern="CORE_DV_HLS", folder="/X", project="LATER")
                await until(lambda: any("can be read again" in line for line in log.lines))
                built = await server.build(project="LATER", instances=[instance])
                await until(lambda: watching.builds)
            assert watching.builds == [built]

        play(test)

    def test_outage_loses_nothing(self, server: Server, log: Log) -> None:
        async def test() -> None:
            async with Watchers() as watchers:
                watching = watchers.start(watcher(), AssetStore())
                await server.more_polls()
                server.emulator.fault("status", status=503, path=BUILDS, method="GET", times=None)
                built = await server.build()
                await until(lambda: any("cannot be read" in line for line in log.lines))
                server.emulator.clear_faults()
                await until(lambda: watching.builds)
            assert watching.builds == [built]

        play(test)

    def test_unknown_pattern_loses_nothing(self, server: Server, log: Log) -> None:
        async def test() -> None:
            async with Watchers() as watchers:
                watching = watchers.start(watcher(pattern="LATER"), AssetStore())
                await until(lambda: any("LATER" in line for line in log.lines))
                server.emulator.add_pattern("LATER")
                instance = server.emulator.add_instance("X", pattern="LATER", folder="/X")
                await server.more_polls()
                built = await server.build(instances=[instance])
                await until(lambda: watching.builds)
            assert watching.builds == [built]

        play(test)
