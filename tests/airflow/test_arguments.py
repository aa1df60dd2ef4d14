"""Bad input: literal arguments fail when the DAG is read, others before any request, with a hint about the cause."""

from __future__ import annotations

from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException
from jinja2 import Undefined

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from tests.airflow.conftest import AIRPLANE, Connect

START: dict[str, Any] = {"task_id": "start", "project": "DEMO_PROJECT", "instances": [AIRPLANE]}
DEPLOY: dict[str, Any] = {"task_id": "deploy", "build_id": 1, "pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"}
FETCH: dict[str, Any] = {"task_id": "fetch", "build_id": 1, "destination": "/tmp/x"}
WATCH: dict[str, Any] = {"task_id": "watch", "build_id": 1}
BASE: dict[Any, dict[str, Any]] = {
    StartBuildOperator: START,
    BuildDeploymentOperator: DEPLOY,
    DownloadBuildOperator: FETCH,
    BuildSensor: WATCH,
}
READS_BUILD_ID = [BuildSensor, DownloadBuildOperator, BuildDeploymentOperator]
WAITS = [StartBuildOperator, BuildSensor]


def _make(kind: Any, **arguments: Any) -> Any:
    return kind(**{**BASE[kind], **arguments})


AT_PARSE_TIME: list[tuple[Any, dict[str, Any], str]] = [
    (StartBuildOperator, {"project_id": 402}, "`project` and `project_id` are mutually exclusive; give one of them"),
    (StartBuildOperator, {"project": 5}, "`project` must be text, not 5"),
    (StartBuildOperator, {"project": None, "project_id": "abc"}, "`project_id` must be a number, not 'abc'"),
    (StartBuildOperator, {"instances": []}, "`instances` must be a list with at least one instance, not []"),
    (StartBuildOperator, {"instances": [{"id": 1, "name": "A"}]}, "`instances[0]` must have either `id`, or"),
    (StartBuildOperator, {"instances": [AIRPLANE, {"pattern": "P"}]}, "`instances[1]` must have either `id`, or"),
    (StartBuildOperator, {"instances": [{"id": "x"}]}, "`instances[0]['id']` must be a number, not 'x'"),
    (StartBuildOperator, {"instances": "AIRPLANE"}, "`instances` must be JSON where it is text, not 'AIRPLANE'"),
    (
        StartBuildOperator,
        {"releases": ["R1"]},
        "`releases` must be a mapping of release groups to releases, not ['R1']",
    ),
    (StartBuildOperator, {"restore": "perhaps"}, "`restore` must be true or false, not 'perhaps'"),
    (StartBuildOperator, {"poll_interval": 0}, "`poll_interval` must be a number of seconds above 0"),
    (StartBuildOperator, {"timeout": -1}, "`timeout` must be a number of seconds above 0, or a timedelta, not -1"),
    (BuildDeploymentOperator, {"pattern_id": 8}, "exactly one of `pattern` or `pattern_id` is needed; given are"),
    (
        BuildDeploymentOperator,
        {"pattern": None},
        "exactly one of `pattern` or `pattern_id` is needed; nothing is given",
    ),
    (BuildDeploymentOperator, {"deployment_id": 8}, "exactly one of `deployment` or `deployment_id` is needed"),
    (BuildDeploymentOperator, {"deployment": None}, "exactly one of `deployment` or `deployment_id` is needed"),
    (BuildDeploymentOperator, {"agent": "a", "agent_group": "g"}, "`agent` and `agent_group` are mutually exclusive"),
    (BuildDeploymentOperator, {"agent_id": 1, "agent_group_id": 1}, "`agent_id` and `agent_group_id` are mutually"),
    (BuildDeploymentOperator, {"agent": 5}, "`agent` must be text, not 5"),
    (BuildDeploymentOperator, {"if_deployed": "maybe"}, "`if_deployed` must be one of skip, deploy, fail, not 'maybe'"),
    (BuildDeploymentOperator, {"build_id": "abc"}, "`build_id` must be a number, not 'abc'"),
    (DownloadBuildOperator, {"build_id": "abc"}, "`build_id` must be a number, not 'abc'"),
    (DownloadBuildOperator, {"build_id": True}, "`build_id` must be a number, not True"),
    (DownloadBuildOperator, {"max_parallel": 0}, "`max_parallel` must be a whole number of at least 1, not 0"),
    (DownloadBuildOperator, {"patterns": "CORE_DV_HLS"}, "`patterns` must be JSON where it is text, not 'CORE_DV_HLS'"),
    (DownloadBuildOperator, {"patterns": '"CORE_DV_HLS"'}, "`patterns` must be a list of names, not 'CORE_DV_HLS'"),
    (DownloadBuildOperator, {"patterns": ["CORE_DV_HLS", 7]}, "`patterns[1]` must be a non-empty text, not 7"),
    (BuildSensor, {"build_id": "abc"}, "`build_id` must be a number, not 'abc'"),
    (BuildSensor, {"build_id": -3}, "`build_id` must be a number, not -3"),
    (BuildSensor, {"build_id": 1.5}, "`build_id` must be a number, not 1.5"),
    *((kind, {"build_id": None}, "`build_id` must be a number, not None") for kind in READS_BUILD_ID),
    (StartBuildOperator, {"instances": None}, "`instances` must be a list with at least one instance, not None"),
    (DownloadBuildOperator, {"destination": None}, "`destination` is empty or rendered to nothing"),
    (StartBuildOperator, {"wait_for_completion": "perhaps"}, "`wait_for_completion` must be true or false"),
    (StartBuildOperator, {"reattach": "False"}, "`reattach` must be True or False, and not a template, not 'False'"),
    *((kind, {"deferrable": "{{ params.d }}"}, "`deferrable` must be True or False") for kind in WAITS),
    *(
        (BuildSensor, {name: "False"}, f"`{name}` must be True or False, and not a template, not 'False'")
        for name in ("soft_fail", "silent_fail", "never_fail", "exponential_backoff")
    ),
    (StartBuildOperator, {"on_clear": "build"}, "`on_clear` must be one of adopt_running, rebuild, not 'build'"),
    (BuildDeploymentOperator, {"if_unchanged": "x"}, "`if_unchanged` must be one of deploy, skip, not 'x'"),
    (BuildDeploymentOperator, {"manifest": 5}, "`manifest` must be the manifest of a download task, not 5"),
    (DownloadBuildOperator, {"max_parallel": "4"}, "`max_parallel` must be a whole number of at least 1, not '4'"),
]


def short(value: Any) -> str:
    """Return the id of a parameter."""
    return value.__name__ if isinstance(value, type) else str(value)[:24]


@pytest.mark.parametrize(("kind", "arguments", "words"), AT_PARSE_TIME, ids=short)
def test_wrong_literals_fail_at_parse_time(kind: Any, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        _make(kind, **arguments)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "missing"),
    [(StartBuildOperator, "instances"), (DownloadBuildOperator, "destination"), (BuildSensor, "build_id")],
)
def test_missing_arguments_fail_at_parse_time(kind: Any, missing: str) -> None:
    arguments = {name: value for name, value in BASE[kind].items() if name != missing}
    # Airflow 2 has an error of its own for it.
    with pytest.raises((TypeError, AirflowException), match=missing):
        kind(**arguments)


RIVALS = {"project_id": "project", "pattern_id": "pattern", "deployment_id": "deployment"}


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in BASE for field in kind.template_fields])
def test_template_fields_take_templates(kind: Any, field: str) -> None:
    template = f"{{{{ params.{field} }}}}"
    arguments = {field: template, **({RIVALS[field]: None} if field in RIVALS else {})}
    assert getattr(_make(kind, **arguments), field) == template


@pytest.mark.parametrize("instance", [{"id": "{{ params.id }}"}, {**AIRPLANE, "name": "{{ params.name }}"}])
def test_instances_take_templates(instance: dict[str, Any]) -> None:
    assert _make(StartBuildOperator, instances=[AIRPLANE, instance]).instances == [AIRPLANE, instance]


@pytest.mark.parametrize("kind", BASE)
def test_results_of_tasks_make_them_upstream(kind: Any) -> None:
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        first = StartBuildOperator(**{**START, "task_id": "first"})
        field = "description" if kind is StartBuildOperator else "build_id"
        task = _make(kind, **{field: first.output})
    assert task.upstream_task_ids == {"first"}


def test_templates_do_not_hide_contradictions() -> None:
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        first = StartBuildOperator(**{**START, "task_id": "first"})
        with pytest.raises(ConfigurationError, match="`project` and `project_id` are mutually exclusive"):
            _make(StartBuildOperator, project="{{ params.p }}", project_id=first.output)
        with pytest.raises(ConfigurationError, match="`pattern` and `pattern_id`"):
            _make(BuildDeploymentOperator, pattern="{{ params.p }}", pattern_id=first.output)


#: Whatever no retry can fix fails the task without one.
REFUSED = (ConfigurationError, AirflowFailException)


class TestWhenTheTaskRuns:
    @pytest.fixture(autouse=True)
    def _short_timeouts(self, connect: Connect) -> None:
        """Connect with short timeouts."""

    @pytest.mark.parametrize(
        ("kind", "field"),
        [
            *((kind, "build_id") for kind in READS_BUILD_ID),
            (StartBuildOperator, "instances"),
            (DownloadBuildOperator, "destination"),
            (BuildDeploymentOperator, "pattern"),
            (BuildDeploymentOperator, "deployment"),
        ],
    )
    def test_nothing_rendered_names_the_upstream(self, emulator: Emulator, kind: Any, field: str) -> None:
        """Airflow gives None for the result of a skipped task, and templates make text of it."""
        with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
            first = StartBuildOperator(**{**START, "task_id": "start_build"})
            task = _make(kind, **{field: first.output})
        for value in (None, "None", " ", Undefined()):
            setattr(task, field, value)
            with pytest.raises(
                REFUSED, match=rf"`{field}`.* rendered to nothing.*; check the upstream task start_build"
            ):
                task.execute({})
        assert emulator.requests() == []

    @pytest.mark.parametrize("kind", READS_BUILD_ID)
    def test_wrong_ids_name_their_source(self, emulator: Emulator, kind: Any) -> None:
        task = _make(kind, build_id="{{ params.build }}")
        task.build_id = {"id": 5}
        with pytest.raises(REFUSED, match=r"not \{'id': 5\}; check its template"):
            task.execute({})
        with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
            tasks = [StartBuildOperator(**{**START, "task_id": name}) for name in ("one", "two")]
            task = _make(kind, build_id="{{ params.build }}")
            tasks >> task
        task.build_id = "abc"
        with pytest.raises(REFUSED, match="not 'abc'; check the upstream tasks one, two"):
            task.execute({})
        assert emulator.requests() == []

    @pytest.mark.parametrize(
        ("kind", "field", "value", "words"),
        [
            (StartBuildOperator, "instances", "[{'pattern': 'P'}]", "add the filter `tojson` to the template"),
            (StartBuildOperator, "instances", '[{"pattern": "P"}]', "`instances[0]` must have either `id`, or"),
            (StartBuildOperator, "instances", [{"id": Undefined()}], "`instances[0]['id']` must be a number, not None"),
            (
                StartBuildOperator,
                "instances",
                ({"id": Undefined()},),
                "`instances[0]['id']` must be a number, not None",
            ),
            (StartBuildOperator, "releases", "DWH_GROUP=R1", "`releases` must be JSON where it is text"),
            (StartBuildOperator, "restore", "perhaps", "`restore` must be true or false, not 'perhaps'"),
            (StartBuildOperator, "wait_for_completion", "1", "`wait_for_completion` must be true or false, not '1'"),
            (BuildDeploymentOperator, "deployment_id", "7", "of `deployment` or `deployment_id` is needed; given are"),
            (BuildDeploymentOperator, "agent_id", "seven", "`agent_id` must be a number, not 'seven'"),
            (BuildDeploymentOperator, "if_deployed", "perhaps", "`if_deployed` must be one of skip, deploy, fail, not"),
        ],
        ids=short,
    )
    def test_wrong_rendered_values_are_not_sent(
        self, emulator: Emulator, kind: Any, field: str, value: str, words: str
    ) -> None:
        task = _make(kind)
        setattr(task, field, value)
        with pytest.raises(REFUSED) as raised:
            task.execute({})
        assert words in str(raised.value)
        assert emulator.requests() == []

    @pytest.mark.parametrize("nothing", [None, "", "None", Undefined()], ids=repr)
    def test_optional_fields_may_render_to_nothing(self, emulator: Emulator, connect: Connect, nothing: Any) -> None:
        connect(project="DEMO_PROJECT")
        emulator.set(build_seconds=0)
        start = _make(StartBuildOperator)
        for field in set(start.template_fields) - {"instances"}:
            setattr(start, field, nothing)
        build_id = start.execute({})
        (post,) = emulator.requests("POST", "/api/v1/builds")
        assert post["body"] == {"project": "DEMO_PROJECT", "instances": [AIRPLANE]}
        deploy = _make(BuildDeploymentOperator)
        for field in set(deploy.template_fields) - {"pattern", "deployment"}:
            setattr(deploy, field, nothing)
        deploy.build_id = build_id
        deploy.execute({})
        (post,) = emulator.requests("POST", "/api/v1/build_deployments")
        assert set(post["body"]) == {"build_id", "pattern", "deployment"}

    @pytest.mark.parametrize("kind", BASE)
    def test_connection_faults_are_listed_together(self, emulator: Emulator, connect: Connect, kind: Any) -> None:
        connect({"login": None, "password": None, "port": 99_999}, read_timeout="soon")
        with pytest.raises(REFUSED) as raised:
            _make(kind).execute({})
        for fault in ("login, the e-mail address, is missing", "password is missing", "port must be", "read_timeout"):
            assert fault in str(raised.value)
        assert emulator.requests() == []


def test_templates_render_to_what_is_sent(emulator: Emulator, connect: Connect) -> None:
    """JSON text for lists and mappings, words for flags, digits for ids."""
    task = StartBuildOperator(
        task_id="start",
        project="{{ params.project }}",
        instances="{{ params.instances | tojson }}",
        releases="{{ params.releases | tojson }}",
        description="run of {{ ds }}",
        restore="{{ params.restore }}",
        wait_for_completion="{{ params.wait }}",
        metakraftwerk_conn_id="{{ params.connection }}",
    )
    params = {
        "project": "SALES_DWH",
        "instances": [AIRPLANE],
        "releases": {"DWH_GROUP": "R1"},
        "restore": True,
        "wait": False,
        "connection": "metakraftwerk_default",
    }
    task.render_template_fields({"params": params, "ds": "2026-11-22"})
    task.execute({})
    (post,) = emulator.requests("POST", "/api/v1/builds")
    assert post["body"] == {
        "project": "SALES_DWH",
        "instances": [AIRPLANE],
        "releases": {"DWH_GROUP": "R1"},
        "description": "run of 2026-11-22",
        "restore": True,
    }
    assert emulator.requests("GET") == []
