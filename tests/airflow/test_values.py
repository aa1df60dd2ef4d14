"""Airflow's triggerer can encode, and PostgreSQL can store, every event, whatever a server sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.exceptions import ApiError, MetaKraftwerkError
from mkw_airflow_provider.triggers import build as trigger_module
from mkw_airflow_provider.triggers.build import BuildTrigger
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_3_PLUS
from tests.kit.postgres import needs_postgres, postgres
from tests.unit.odd_values import ANY_BUILD, ANY_JSON, ANY_TEXT

quick = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


class Stray(BaseException):
    """As Airflow's ``DeadlockImminentError``: no ``Exception``."""


class FixedEvent(BuildTrigger):
    """A trigger whose wait ends as the test says, without a server."""

    def __init__(self, response: Any) -> None:
        super().__init__(metakraftwerk_conn_id="any", build_id=1, poll_interval=2.0)
        self._response = response

    async def _wait(self) -> dict[str, Any]:
        if isinstance(self._response, BaseException):
            raise self._response
        try:
            return {"outcome": "ended", "build": Build.from_json(self._response).to_dict()}
        except MetaKraftwerkError as error:
            return {"outcome": "error", "error": error.to_dict()}


ANSWERS: st.SearchStrategy[Any] = (
    ANY_BUILD
    | ANY_JSON
    | st.builds(lambda text: ApiError(500, text), ANY_TEXT)
    | st.builds(ValueError, ANY_JSON)
    | st.builds(Stray, ANY_TEXT)
)


@pytest.fixture(autouse=True)
def _no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigger_module, "EARLIEST_EVENT", 0.0)


def _event(response: Any) -> Any:
    async def run() -> Any:
        (event,) = [event async for event in FixedEvent(response).run()]
        return event

    return asyncio.run(run())


@quick
@given(ANSWERS)
def test_event_fits_airflows_frame(response: Any) -> None:
    runner = pytest.importorskip("airflow.jobs.triggerer_job_runner")
    comms = pytest.importorskip("airflow.sdk.execution_time.comms")
    if not hasattr(comms, "_RequestFrame"):
        pytest.skip("this Airflow has another protocol")
    event = _event(response)
    # Since 3.3 an entry has a third part, which only events of shared streams use.
    entry = (1, event, None) if AIRFLOW_V_3_3_PLUS else (1, event)
    message = runner.messages.TriggerStateChanges(events=[entry], finished=[1], failures=None)
    frame = comms._RequestFrame(id=1, body=message.model_dump()).as_bytes()
    assert len(frame) < 1_000_000


@pytest.fixture(scope="module")
def cursor() -> Iterator[Any]:
    psycopg2 = pytest.importorskip("psycopg2")
    with postgres() as address, psycopg2.connect(f"postgresql://{address}") as connection:
        yield connection.cursor()
        connection.rollback()


@needs_postgres
@quick
@given(ANSWERS)
def test_postgres_stores_event_as_jsonb(cursor: Any, response: Any) -> None:
    payload = _event(response).payload
    cursor.execute("SELECT %s::jsonb::text", (json.dumps(payload),))
    assert json.loads(cursor.fetchone()[0]) == payload


def test_event_holds_documented_fields_only() -> None:
    build = _event({"id": 1, "status": "FINISHED", "brand_new": [1]}).payload["build"]
    assert "brand_new" not in build
    assert build["status"] == "FINISHED"


@pytest.mark.parametrize("error", [Stray("no Exception"), KeyError("x"), RecursionError()], ids=repr)
def test_trigger_that_fails_sends_an_event(error: BaseException) -> None:
    payload = _event(error).payload
    assert (payload["outcome"], payload["build_id"]) == ("error", 1)
    assert type(error).__name__ in payload["error"]["arguments"][0]


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_trigger_lets_signals_pass(signal: type[BaseException]) -> None:
    with pytest.raises(signal):
        _event(signal())
