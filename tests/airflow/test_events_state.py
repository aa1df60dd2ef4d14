"""BuildFinishedTrigger over restarts and kills of the triggerer, and among many: Airflow 3.3 stores and shares."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mkw_airflow_provider.client.api.builds import BuildHead
from mkw_airflow_provider.client.flows.finished_builds import BuildList
from mkw_airflow_provider.triggers import watch_builds
from tests.airflow.conftest import Log
from tests.airflow.watching import Server, needs_store, play, watcher
from tests.kit.asset_store import AssetStore
from tests.kit.watchers import Watchers, until


@needs_store
class TestRestart:
    def test_builds_that_end_meanwhile_are_reported(self, server: Server) -> None:
        async def test() -> None:
            store = AssetStore()
            (running,) = await server.start()
            async with Watchers() as watchers:
                watchers.start(watcher(), store)
                await until(lambda: store.writes)
            await server.finish(running)
            built = await server.build()
            async with Watchers() as watchers:
                watching = watchers.start(watcher(), store)
                await until(lambda: len(watching.builds) == 2)
            assert watching.builds == [running, built]

        play(test)

    def test_kill_right_after_an_event_repeats_it(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watch_builds, "EVENT_RECORDED", 3600.0)

        async def test() -> None:
            store, reported = AssetStore(), []
            for _ in range(2):
                async with Watchers() as watchers:
                    watching = watchers.start(watcher(), store)
                    if not reported:
                        await until(lambda: store.writes)
                        await server.build()
                    await until(lambda watching=watching: watching.builds)
                    await server.more_polls()
                reported.append(watching.builds)
            assert reported[0] == reported[1]

        play(test)

    def test_recorded_event_is_not_repeated(self, server: Server) -> None:
        async def test() -> None:
            store = AssetStore()
            async with Watchers() as watchers:
                watching = watchers.start(watcher(), store)
                await until(lambda: store.writes)
                await server.build()
                await until(lambda: watching.builds and store.writes > 1)
            async with Watchers() as watchers:
                watching = watchers.start(watcher(), store)
                later = await server.build()
                await until(lambda: watching.builds)
                await server.more_polls()
            assert watching.builds == [later]

        play(test)

    def test_failing_store_delays_but_loses_nothing(self, server: Server, log: Log) -> None:
        async def test() -> None:
            store = AssetStore()
            async with Watchers() as watchers:
                watchers.start(watcher(), store)
                await until(lambda: store.writes)
            built = await server.build()
            store.fails = 3
            async with Watchers() as watchers:
                watching = watchers.start(watcher(), store)
                await until(lambda: watching.builds)
            assert watching.builds == [built]
            assert any("the database is locked" in line for line in log.lines)

        play(test)

    def test_id_beyond_64_bits_blocks_nothing(self, server: Server, log: Log) -> None:
        async def test() -> None:
            store = AssetStore()
            odd = BuildHead({"id": 2**70, "status": "FINISHED"})
            trigger = watcher()
            trigger.asset_state_store = store

            async def lists() -> AsyncIterator[BuildList]:
                for heads in ([odd], [odd, BuildHead({"id": 3, "status": "FINISHED"})]):
                    yield BuildList("x", heads)

            assert [payload["id"] async for payload in watch_builds.new_builds(trigger, lists())] == [3]
            assert store.writes == 1
            assert not any("failed" in line for line in log.lines)

        play(test)

    def test_watchers_of_one_asset_have_own_state(self, server: Server) -> None:
        async def test() -> None:
            store = AssetStore()
            async with Watchers() as watchers:
                watchers.start(watcher(), store)
                watchers.start(watcher(user="demo"), store)
                await until(lambda: len(store.kept) == 2)

        play(test)


@needs_store
class TestSharing:
    def test_twenty_watchers_poll_once(self, server: Server) -> None:
        async def test() -> None:
            stores = [AssetStore() for _ in range(20)]
            async with Watchers() as watchers:
                for number, store in enumerate(stores):
                    watchers.start(watcher(asset=f"builds {number}", poll_interval=3600.0), store)
                await until(lambda: all(store.writes for store in stores))
            assert server.polls() == 1

        play(test)
        assert len(server.emulator.requests("POST", "/authentication")) == 1

    def test_twenty_watchers_report_a_build_each(self, server: Server) -> None:
        async def test() -> None:
            async with Watchers() as watchers:
                many = [watchers.start(watcher(asset=f"builds {number}"), AssetStore()) for number in range(20)]
                await server.more_polls()
                built = await server.build()
                await until(lambda: all(one.builds for one in many))
            assert [one.builds for one in many] == [[built]] * 20

        play(test)

    def test_late_watcher_misses_nothing(self, server: Server) -> None:
        async def test() -> None:
            store = AssetStore()
            async with Watchers() as watchers:
                watchers.start(watcher(), store)
                await until(lambda: store.writes)
            async with Watchers() as watchers:
                early = watchers.start(watcher(asset="early"), AssetStore())
                await server.more_polls()
                built = await server.build()
                await until(lambda: early.builds)
                late = watchers.start(watcher(), store)
                await until(lambda: late.builds)
            assert (early.builds, late.builds) == ([built], [built])

        play(test)

    def test_other_filters_are_polled_separately(self) -> None:
        keys = {
            watcher(**arguments).shared_stream_key()
            for arguments in ({}, {"asset": "x", "pattern": "P"}, {"user": "demo"}, {"project": "OTHER"})
        }
        assert len(keys) == 3
