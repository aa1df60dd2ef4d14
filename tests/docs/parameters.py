"""The page with the parameters of all operators, made from their signatures and docstrings.

`python -m tests.docs.parameters` writes it.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.selection import InstanceSelector
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.task_groups import BuildTaskGroup, Deployment
from tests.docs.pages import DOCS

PAGE = DOCS / "reference" / "parameters.md"
CLASSES = (
    StartBuildOperator,
    BuildSensor,
    DownloadBuildOperator,
    BuildDeploymentOperator,
    BuildTaskGroup,
    Deployment,
    InstanceSelector,
)
HEAD = """# Parameters

Types and defaults as in the signatures. *(templated)*: Jinja templates and the results of other tasks are accepted.
All operators also take the parameters of Airflow's base operator, such as `retries` and `execution_timeout`.

`instances` takes an `InstanceSelector`, its dict form, a list of `{"id": ...}` or
`{"pattern": ..., "folder": ..., "name": ...}`, or text with the JSON of one of them.
Seconds are a number above 0 or a `timedelta`.
"""
#: Types that editors show by name, as what can be written.
ALIASES = {
    "Instances": "selector or list",
    "OnClear": "'adopt_running' or 'rebuild'",
    "IfEmpty": "'fail' or 'skip'",
    "IfDeployed": "'skip', 'deploy' or 'fail'",
    "IfUnchanged": "'deploy' or 'skip'",
    "Literal['fail', 'skip']": "'fail' or 'skip'",
    "Sequence[Deployment": "list of `Deployment`",
    "DeploymentDict]": "of dicts",
    "SensorMode": "'poke' or 'reschedule'",
}
#: Defaults that Airflow's configuration can change.
CONFIGURED = {
    "deferrable": "`[operators] default_deferrable`",
    "start_from_trigger": "`[metakraftwerk] start_from_trigger`",
    "end_from_trigger": "`[metakraftwerk] end_from_trigger`",
}


def render() -> str:
    """Return the page."""
    return "\n".join([HEAD, *(_section(kind) for kind in CLASSES)])


def _section(kind: type[Any]) -> str:
    described = dict(
        re.findall(
            r":param (\w+): (.*?)(?=\n *:(?:param|return|raises)|\Z)", inspect.getdoc(kind) or "", flags=re.DOTALL
        )
    )
    templated = set(getattr(kind, "template_fields", ()))
    rows = []
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        mark = " *(templated)*" if parameter.name in templated else ""
        text = " ".join(_plain(described[parameter.name]).split())
        rows.append(f"| `{parameter.name}`{mark} | {_type(parameter)} | {_default(kind, parameter)} | {text} |")
    head = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {kind.__name__}", "", *head, *rows, ""])


def _type(parameter: inspect.Parameter) -> str:
    # Aliases of types are expanded first, so that their parts are not taken for alternatives.
    parts = [part for part in str(parameter.annotation).split(" | ") if part not in ("XComArg", "None")]
    return " or ".join(ALIASES.get(part, f"`{part}`") for part in parts).replace("'", "`")


def _default(kind: type[Any], parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return "required"
    if parameter.name in CONFIGURED and kind is not BuildTaskGroup:
        return CONFIGURED[parameter.name]
    return f"`{parameter.default!r}`"


def _plain(text: str) -> str:
    """Return a docstring's text as Markdown."""
    text = re.sub(r":class:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render())
