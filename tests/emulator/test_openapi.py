"""The emulator is held to its own OpenAPI description."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from mkw_airflow_provider.emulator import Emulator

DOCUMENTED = {
    "/authentication": {"post"},
    "/api/v1/builds": {"get", "post"},
    "/api/v1/build_deployments": {"get", "post"},
    "/api/v1/metadata": {"post"},
    **{
        f"/api/v1/{name}": {"get"}
        for name in (
            "downloads",
            "projects",
            "patterns",
            "instances",
            "instance_folders",
            "deployments",
            "releases",
            "release_groups",
            "agents",
            "agent_groups",
        )
    },
}
DOCUMENTED |= {
    f"{path}/{{record_id}}": {"get"} for path in DOCUMENTED if path.startswith("/api") and path != "/api/v1/metadata"
}

# OpenAPI cannot say that exactly one of two query parameters is required, so valid data may be refused there.
ONE_OF_PROJECT = {"/api/v1/instances", "/api/v1/instance_folders"}


@pytest.fixture(scope="module")
def api(client):
    """A description with builds to be found; one emulator for all examples."""
    with Emulator(build_seconds=0) as emulator:
        for _ in range(3):
            emulator.start_build()
        description = schemathesis.openapi.from_url(f"{emulator.url}/openapi.json")
        token = client(emulator.url).log_in("demo@example.com").token
        description.config.update(headers={"Authorization": f"Bearer {token}"})
        yield description


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_responses_match_the_description(case):
    excluded = [positive_data_acceptance] if case.operation.path in ONE_OF_PROJECT else []
    case.call_and_validate(excluded_checks=excluded)


def test_description_lists_all_endpoints(api):
    paths = api.raw_schema["paths"]
    assert {path: set(operations) for path, operations in paths.items()} == DOCUMENTED


def test_all_but_the_login_need_a_token(api):
    schemes = api.raw_schema["components"]["securitySchemes"]
    assert [(scheme["type"], scheme["scheme"]) for scheme in schemes.values()] == [("http", "bearer")]
    for path, operations in api.raw_schema["paths"].items():
        for operation in operations.values():
            assert bool(operation.get("security")) == (path != "/authentication")
            assert "422" not in operation["responses"]
            assert {"401"} <= set(operation["responses"])
