"""Skip a deployment if its files have not changed since this task deployed them in an earlier DAG run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mkw_airflow_provider.client.api.build_deployments import BuildDeployment, find_build_deployments
from mkw_airflow_provider.client.api.builds import Build, get_build
from mkw_airflow_provider.client.flows.deploy import DeploymentRequest, find_target
from mkw_airflow_provider.exceptions import MetaKraftwerkError
from mkw_airflow_provider.safe_values import restored_integer

if TYPE_CHECKING:
    from mkw_airflow_provider.client.session import ApiSession, Flow

#: How many newer deployments are read to tell their projects; of more than that, one counts as newer.
MOST_READ = 100
#: XCom of the newest deployment that a task made, for the same task of later DAG runs.
DEPLOYED = "deployed"


def files_of(manifest: Any, request: DeploymentRequest) -> list[Mapping[str, Any]]:
    """Return the files of the deployed build and pattern that a manifest lists.

    The manifest may be that of an older build, for example where the build was started again, but not downloaded.
    """
    is_ours = isinstance(manifest, Mapping) and restored_integer(manifest.get("build_id")) == request.build_id
    files = manifest.get("files") if is_ours else None
    wanted = ("pattern", request.pattern) if request.pattern is not None else ("pattern_id", request.pattern_id)
    return [
        file
        for file in (files if isinstance(files, list) else [])
        if isinstance(file, Mapping) and file.get(wanted[0]) == wanted[1]
    ]


def content_of(manifest: Any, request: DeploymentRequest) -> str | None:
    """Return one digest over the files of the deployed build and pattern; None if the manifest has none of them.

    Names do not count: MetaKraftwerk writes the time into them.
    """
    found = [file.get("content") for file in files_of(manifest, request)]
    digests = [content for content in found if isinstance(content, str)]
    if not digests or len(digests) < len(found):
        return None
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def target_of(request: DeploymentRequest) -> str:
    """Return what was deployed where and by whom, whichever build it was of."""
    arguments = {name: value for name, value in vars(request).items() if name != "build_id" and value is not None}
    return json.dumps(arguments, sort_keys=True)


def describe_deployed(request: DeploymentRequest, deployment_id: int, content: str) -> dict[str, Any]:
    """Return what to remember of a deployment."""
    return {
        "build_id": request.build_id,
        "build_deployment_id": deployment_id,
        "content": content,
        "target": target_of(request),
    }


def find_unchanged(
    session: ApiSession, request: DeploymentRequest, content: str | None, last: Any, project_id: Any = None
) -> Flow[str | None]:
    """Return why a deployment can be skipped, as a sentence; None to deploy. What is not known counts as changed.

    :param content: digest of the files, by :func:`content_of`.
    :param last: what was remembered of the newest deployment of an earlier DAG run.
    :param project_id: of the build, as the manifest has it: deployments of other projects with the same pattern do not
        count. None: not known, so they do.
    """
    if content is None:
        session.log.info("The manifest has no digests of files of build %s; deploying.", request.build_id)
        return None
    if not isinstance(last, Mapping):
        session.log.info("There is no earlier deployment to compare the files with; deploying.")
        return None
    if last.get("target") != target_of(request):
        session.log.info("This task deployed build %s to another target; deploying.", last.get("build_id"))
        return None
    if last.get("content") != content:
        session.log.info(
            "The files have changed since build %s was deployed; deploying. If only generated lines differ, such as a "
            "date, leave them out with `ignore_lines` of the download.",
            last.get("build_id"),
        )
        return None
    number = last.get("build_deployment_id")
    listed: list[BuildDeployment] = yield from session.request(
        find_build_deployments(
            pattern=request.pattern,
            pattern_id=request.pattern_id,
            deployment=request.deployment,
            deployment_id=request.deployment_id,
        )
    )
    target = yield from find_target(session, request)
    by_id = {deployment.id: deployment for deployment in listed if target.counts_as_deployed(deployment)}
    if number not in by_id:
        session.log.info("Deployment %s of build %s is not listed anymore; deploying.", number, last.get("build_id"))
        return None
    newer = [by_id[other] for other in sorted(by_id, reverse=True) if other > number]
    foreign: set[int | None] = set()
    for position, deployment in enumerate(newer):
        if deployment.build_id in foreign and position < MOST_READ:
            continue
        if position >= MOST_READ or not (yield from _is_of_another_project(session, deployment, project_id)):
            session.log.info("Deployment %s was made after this task's last one; deploying.", deployment.id)
            return None
        foreign.add(deployment.build_id)
    return (
        f"The files of build {request.build_id} have the same content as those of build {last.get('build_id')}, which "
        f"deployment {number} deployed. Nothing was deployed."
    )


def _is_of_another_project(session: ApiSession, deployment: BuildDeployment, project_id: Any) -> Flow[bool]:
    """Whether a deployment surely is of a build of another project. The API lists deployments without their project."""
    if not isinstance(project_id, int) or deployment.build_id is None:
        return False
    try:
        build: Build = yield from session.request(get_build(deployment.build_id))
    except MetaKraftwerkError:
        return False
    return build.project_id not in (None, project_id)
