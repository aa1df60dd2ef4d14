"""The emulator passes the checks of ``make live``; each of its switches shows in them as it should."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.emulator.state.switches import Switches
from tests.live.account import Account, ReadOnlyError, changes_state
from tests.live.all_facts import ALL, OF_RESULTS, READING
from tests.live.findings import TEST_DEPLOYMENT, Fact, Finding, Verdict
from tests.live.options import Options
from tests.live.switches import CASES, NOT_SHOWN

#: Longer than any test: a test ends its builds itself.
LONG = 100_000
BROKEN_VIEW = 1004


@pytest.fixture
def emulator(metakraftwerk: Emulator) -> Emulator:
    """An emulator with a finished and deployed build, whose further builds end when a test ends them."""
    metakraftwerk.set(build_seconds=LONG)
    metakraftwerk.set_instance(BROKEN_VIEW, build_seconds=0)
    build_id = metakraftwerk.start_build()["id"]
    metakraftwerk.end_build(build_id, "FINISHED")
    deployment = {"build_id": build_id, "pattern_id": 808, "deployment_id": 1}
    assert Account(options_for(metakraftwerk)).respond("POST", "/build_deployments", body=deployment).ok
    return metakraftwerk


def options_for(emulator: Emulator, email: str = "demo@example.com") -> Options:
    """Return options that allow everything."""
    connection = emulator.connection_for(email)
    return Options(
        url=emulator.url,
        login=connection["login"],
        password=connection["password"],
        project="DEMO_PROJECT",
        instance="CORE_DV_HLS/BUSINESS_VAULT/AIRPLANE",
        deployment="DEPLOY_TO_DEV",
        agent_group="DEV_AGENTS",
        failing_instance=str(BROKEN_VIEW),
        closed_release="DWH_GROUP/R0",
    )


def check(emulator: Emulator, facts: Iterable[Fact], *, prompt: float = 60.0, **switches: object) -> dict[str, Finding]:
    """Check facts as ``make live`` does; end the test build when only facts about results are left."""
    options = options_for(emulator)
    invalid = emulator.add_instance("INVALID", pattern="CORE_DV_HLS", folder="/BUSINESS_VAULT", errors=1)
    foreign = emulator.start_build(project="SALES_DWH")["id"]
    expired = Account(options).token.value
    emulator.expire_tokens()
    emulator.set(**switches)
    account = Account(replace(options, invalid_instance=str(invalid), expired_token=expired), prompt=prompt)
    viewer = Account(replace(options_for(emulator, "viewer@example.com"), foreign_build=str(foreign)))
    found = {}
    for fact in facts:
        if fact in OF_RESULTS:
            end_builds(emulator, account)
        found[fact.name] = fact.check(viewer if "foreign_build" in fact.needs else account)
    return found


def end_builds(emulator: Emulator, account: Account) -> None:
    build_id = account.test_build.id
    if any(build["id"] == build_id and build["status"] == "BUILDING" for build in emulator.builds()):
        emulator.end_build(build_id, "FINISHED")


def test_all_facts_are_green_by_default(emulator):
    found = check(emulator, ALL)
    assert {name: result for name, result in found.items() if result.verdict is not Verdict.GREEN} == {}


@pytest.mark.parametrize(
    ("switches", "verdicts"),
    [pytest.param(*case, id="-".join(f"{key}={value}" for key, value in case[0].items())) for case in CASES],
)
def test_switch_shows_as_documented(emulator, switches, verdicts):
    found = check(emulator, [fact for fact in ALL if fact.name in verdicts], prompt=0.5, **switches)
    assert {name: result.verdict for name, result in found.items()} == verdicts, found
    assert all(result.effect for result in found.values() if result.verdict is not Verdict.GREEN)


def test_every_switch_is_turned_or_explained():
    turned = {name for switches, _ in CASES for name in switches}
    assert turned | set(NOT_SHOWN) == set(Switches.names())
    assert turned & set(NOT_SHOWN) == set()


def test_without_a_project_nothing_is_changed(emulator):
    emulator.clear_requests()
    account = Account(replace(options_for(emulator), project=None, instance=None))
    found = {fact.name: fact.check(account).verdict for fact in ALL}
    assert {name for name, verdict in found.items() if verdict is not Verdict.NOT_CHECKED} >= {
        fact.name for fact in READING if not fact.needs
    }
    for request in emulator.requests():
        if request["method"] == "POST":
            assert request["path"] in ("/authentication", "/api/v1/metadata")
            assert request["path"] == "/authentication" or request["body"]["statement"].startswith("SELECT ")
        else:
            assert request["method"] == "GET"
    assert [download["downloaded"] for download in emulator.downloads()] == [0]


@pytest.mark.parametrize(
    ("method", "path", "body", "changes"),
    [
        ("GET", "/api/v1/builds", None, False),
        ("POST", "/authentication", {}, False),
        ("POST", "/api/v1/metadata", {"statement": "SELECT 1"}, False),
        ("POST", "/api/v1/metadata", {"statement": "DELETE FROM X"}, True),
        ("GET", "/api/v1/downloads", None, False),
        ("GET", "/api/v1/downloads/5442", None, True),
        ("POST", "/api/v1/builds", {}, True),
        ("PATCH", "/api/v1/builds/1", {}, True),
    ],
)
def test_state_changes_are_recognized(emulator, method, path, body, changes):
    request = Request(method, path, lambda response: response, body=body)
    assert changes_state(request) is changes
    account = Account(replace(options_for(emulator), instance=None))
    if changes:
        with pytest.raises(ReadOnlyError, match="must not be sent"):
            account.send(request)
    else:
        account.send(request)


def test_a_refused_build_is_attempted_once(emulator):
    account = Account(replace(options_for(emulator), instance="CORE_DV_HLS/NO/SUCH"))
    found = [fact.check(account) for fact in OF_RESULTS if set(fact.needs) <= {*TEST_DEPLOYMENT, "agent_group"}]
    assert {result.verdict for result in found} == {Verdict.NOT_CHECKED}
    assert found[0].seen == "the test build was refused: 404 Instance not found"
    assert len(emulator.requests("POST", "/api/v1/builds")) == 1


def test_errors_of_the_client_are_red(emulator):
    account = Account(replace(options_for(emulator), password="wrong-password"))
    (found,) = (fact.check(account) for fact in ALL if fact.name == "token_lifetime")
    assert found.verdict is Verdict.RED
    assert "Invalid login" in found.seen
    assert "wrong-password" not in found.seen
