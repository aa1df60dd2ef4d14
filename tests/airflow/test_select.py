"""StartBuildOperator with a selector: what is built, pushed and logged, and what happens if nothing matches."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.selection import InstanceSelector
from tests.kit.tasks import StateStore, context_of

HUBS = InstanceSelector(pattern="CORE_DV_HLS", folder="/BUSINESS_VAULT/**")


def start(store: StateStore | None = None, try_number: int = 1, **arguments: Any) -> tuple[int, dict[str, Any]]:
    """Run a start task; return the build id and the task's XComs."""
    operator = StartBuildOperator(task_id="start", **{"project": "DEMO_PROJECT", "instances": HUBS, **arguments})
    context = context_of(operator, store, try_number=try_number, max_tries=2)
    return operator.execute(context), context["ti"].xcom


@pytest.mark.parametrize(
    "instances", [HUBS, HUBS.to_dict(), '{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT/**"}']
)
@pytest.mark.parametrize("reattach", [True, False])
def test_selected_instances_are_built(connected: Emulator, instances: Any, reattach: bool) -> None:
    _, xcoms = start(instances=instances, reattach=reattach)
    (sent,) = connected.requests("POST", "/api/v1/builds")
    assert sent["body"]["instances"] == [{"id": number} for number in xcoms["selection"]["ids"]]
    assert xcoms["selection"]["by_pattern"] == {"CORE_DV_HLS": len(xcoms["selection"]["ids"])}


def test_selection_is_pushed_without_secrets(connected: Emulator) -> None:
    password = connected.connection["password"]
    connected.add_instance(f"A-{password}", pattern="CORE_DV_HLS", folder="/BUSINESS_VAULT", invalid=True)
    _, xcoms = start()
    assert "A-***" in str(xcoms["selection"]["excluded_names"])
    assert password not in str(xcoms)


def test_adopting_attempt_does_not_select_again(connected: Emulator) -> None:
    store = StateStore()
    first, _ = start(store)
    second, xcoms = start(store, try_number=2)
    assert (first, len(connected.requests("GET", "/api/v1/instances"))) == (second, 1)
    assert "selection" not in xcoms


@pytest.mark.parametrize("arguments", [{"if_empty": "skip"}, {"instances": {"name": "NO_*", "if_empty": "skip"}}])
def test_nothing_selected_skips(connected: Emulator, arguments: dict[str, Any]) -> None:
    with pytest.raises(AirflowSkipException, match="No instance matches"):
        start(**{"instances": InstanceSelector(name="NO_*"), **arguments})
    assert connected.requests("POST", "/api/v1/builds") == []


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"name": "NO_*"}, "no instance matches"),
        ({"pattern": "CORE_DV_HSL"}, "nearest: CORE_DV_HLS"),
        ({"max_instances": 1}, "more than `max_instances`"),
    ],
)
def test_useless_selector_fails_without_retry(connected: Emulator, selector: dict[str, Any], message: str) -> None:
    with pytest.raises(AirflowFailException, match=f"(?i){message}"):
        start(instances=selector)
    assert connected.requests("POST", "/api/v1/builds") == []


def test_empty_selector_is_refused(connected: Emulator) -> None:
    with pytest.raises(ConfigurationError, match="would select the whole project"):
        start(instances="{}")
    assert (
        len(start(instances=InstanceSelector(include_invalid=True, include_disabled=True).to_dict())[1]["selection"])
        > 1
    )
    assert InstanceSelector.from_dict(InstanceSelector().to_dict()) == InstanceSelector()


@pytest.mark.parametrize("instances", [HUBS, [{"id": 1001}]], ids=["selector", "list"])
def test_unknown_project_is_named(connected: Emulator, instances: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"project 'DEMO_PROJEKT' does not exist \(nearest: DEMO_PROJECT"):
        start(project="DEMO_PROJEKT", instances=instances)
    assert connected.builds() == []


def test_missing_instance_is_named(connected: Emulator) -> None:
    wrong = {"pattern": "CORE_DV_HLS", "folder": "BUSINESS_VAULT", "name": "AIRPLANE"}
    with pytest.raises(AirflowFailException, match="nearest: CORE_DV_HLS:/BUSINESS_VAULT/AIRPLANE"):
        start(instances=[wrong])


@pytest.mark.parametrize("instances", [[HUBS], [{"id": 1}, HUBS], {"id": 1}])
def test_mixed_forms_are_rejected(instances: Any) -> None:
    with pytest.raises(ConfigurationError, match="`instances` must be"):
        StartBuildOperator(task_id="start", project="P", instances=instances)
