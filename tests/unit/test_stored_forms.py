"""Records that versions of this package have stored in the task state store: every later version reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mkw_airflow_provider.operators.build_record import BuildRecord
from mkw_airflow_provider.operators.deployment_record import DeploymentRecord
from mkw_airflow_provider.version_compat import TaskStateStore
from tests.kit.tasks import StateStore

BUILD = {"state": "started", "max_tries": 3, "clear_number": 0, "digest": "d1", "marker": "[m]", "build_id": 5139}
DEPLOYMENT = {"state": "done", "max_tries": 3, "clear_number": 0, "digest": "d2", "known": [17], "deployment_id": 19}
#: By version and record: what it stored, and an id in it.
STORED = {
    "1.0.0rc1 build": (BuildRecord, BUILD, {"build_id": 5139}),
    "1.0.0rc1 deployment": (DeploymentRecord, DEPLOYMENT, {"deployment_id": 19, "known": [17]}),
    "build with a long id": (BuildRecord, {**BUILD, "build_id": str(2**70)}, {"build_id": 2**70}),
    "deployment with long ids": (
        DeploymentRecord,
        {**DEPLOYMENT, "known": [17, str(2**70), hex(2**70)], "deployment_id": str(2**70)},
        {"known": [17, 2**70, 2**70], "deployment_id": 2**70},
    ),
    "damaged deployment": (
        DeploymentRecord,
        {**DEPLOYMENT, "known": [17, None, "x"], "deployment_id": True},
        {"known": [17], "deployment_id": None},
    ),
    "deployment without a list": (DeploymentRecord, {**DEPLOYMENT, "known": None}, {"known": []}),
    "later build": (BuildRecord, {**BUILD, "of_2031": {"x": 1}}, {"build_id": 5139}),
}


def load(kind, value):
    store = TaskStateStore(StateStore())
    store.set(kind.key, value)
    return kind.load(store)


@pytest.mark.parametrize("version", STORED)
def test_record_of_every_version_is_read(version):
    kind, value, expected = STORED[version]
    record = load(kind, value)
    assert {name: getattr(record, name) for name in expected} == expected


def test_record_lacks_only_what_has_a_default():
    assert load(BuildRecord, {name: BUILD[name] for name in BUILD if name != "build_id"}).build_id is None
    assert load(BuildRecord, {name: BUILD[name] for name in BUILD if name != "marker"}) is None


@pytest.mark.parametrize("number", [2**64 - 1, 2**64, 2**70, 10**2000])
def test_id_of_any_length_survives_the_store(number):
    store = TaskStateStore(StateStore())
    replace(load(BuildRecord, BUILD), build_id=number).save(store)
    assert BuildRecord.load(store).build_id == number
