from __future__ import annotations

import pytest

BUILD = {"project": "DEMO_PROJECT", "instances": [{"id": 1001}]}
DEPLOYMENT = {"build_id": 5139, "pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"}
NO_ACCESS = (403, "You don't have permissions to access this project!")
NO_BUILDS = (403, "You don't have permissions to start builds in this project!")


def seen(response):
    return response.status, response.message


def test_foreign_projects_are_forbidden(outsider, viewer):
    assert seen(outsider.get("/builds?project=DEMO_PROJECT")) == NO_ACCESS
    assert seen(outsider.post("/builds", BUILD)) == NO_ACCESS
    assert seen(viewer.get("/builds?project_id=403")) == NO_ACCESS
    assert seen(outsider.get("/instances?project_id=402")) == NO_ACCESS
    assert seen(outsider.get("/instance_folders?project_id=402")) == NO_ACCESS


def test_unknown_project_is_not_found(outsider):
    assert outsider.post("/builds", BUILD | {"project": "NOPE"}).status == 404


def test_viewers_cannot_build(viewer, finished):
    assert seen(viewer.post("/builds", BUILD)) == NO_BUILDS
    assert [build["id"] for build in viewer.get("/builds?project=DEMO_PROJECT").json] == [finished["id"]]
    assert viewer.get(f"/builds/{finished['id']}").status == 200


def test_viewers_can_download(viewer, finished):
    assert viewer.get("/downloads/5442").body[:2] == b"PK"


@pytest.mark.parametrize(("permission", "status"), [("write_builds", 403), ("view", 201)])
def test_the_permission_to_deploy_is_a_switch(emulator, viewer, finished, permission, status):
    emulator.set(deploy_permission=permission)
    response = viewer.post("/build_deployments", DEPLOYMENT)
    assert response.status == status
    if status == 403:
        assert response.message == "You don't have permissions to deploy builds in this project!"


def test_lists_hide_foreign_projects(outsider, viewer, demo, finished):
    demo.post("/build_deployments", DEPLOYMENT)
    for resource in ("builds", "downloads", "build_deployments", "projects"):
        assert outsider.get(f"/{resource}").json == []
    assert len(viewer.get("/projects").json) == 1
    assert len(viewer.get("/build_deployments").json) == 1


@pytest.mark.parametrize(
    "path", ["/builds/5139", "/downloads/5442", "/build_deployments/1", "/projects/402", "/instances/1001"]
)
def test_foreign_records_are_hidden_or_forbidden(emulator, outsider, demo, finished, path):
    demo.post("/build_deployments", DEPLOYMENT)
    assert seen(outsider.get(path)) == (404, f"No record found for id '{path.rpartition('/')[2]}'")
    emulator.set(foreign_record=403)
    assert seen(outsider.get(path)) == NO_ACCESS


def test_deploying_a_foreign_build(emulator, outsider, finished):
    assert seen(outsider.post("/build_deployments", DEPLOYMENT)) == (404, "Build not found")
    emulator.set(foreign_record=403)
    assert seen(outsider.post("/build_deployments", DEPLOYMENT)) == NO_ACCESS
