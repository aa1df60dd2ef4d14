"""What ``make live`` finds on an emulator whose switches are turned the other way."""

from __future__ import annotations

from typing import Any

from tests.live.findings import Verdict

GREEN, TOLERATED, RED = Verdict.GREEN, Verdict.TOLERATED, Verdict.RED

HOUR = 3600

#: The switch that is turned, with others that are needed to see it, and what the facts are then.
CASES: list[tuple[dict[str, Any], dict[str, Verdict]]] = [
    ({"progress": "absent"}, {"progress_is_a_number": TOLERATED, "fields_of_builds": TOLERATED}),
    (
        {"create_status": 200},
        {"status_of_created_build": TOLERATED, "created_deployment": TOLERATED, "metadata_result": TOLERATED},
    ),
    ({"full_create_response": True}, {"created_build": TOLERATED}),
    ({"failed_wait": "error"}, {"failed_build_with_wait": TOLERATED}),
    ({"flags": "integer"}, {"flags_of_projects": TOLERATED}),
    ({"flags": "boolean"}, {"flags_of_builds": TOLERATED}),
    (
        {"nulls": "missing"},
        {"fields_of_builds": TOLERATED, "fields_of_downloads": TOLERATED, "fields_of_releases": TOLERATED},
    ),
    ({"error_body": "feathers4"}, {"error_body": TOLERATED}),
    ({"error_body": "text"}, {"error_body": RED}),
    ({"error_body": "html"}, {"error_body": RED}),
    ({"expired_message": "jwt expired"}, {"expired_token": TOLERATED}),
    ({"token_seconds": 600}, {"token_lifetime": TOLERATED}),
    ({"not_implemented_status": 501}, {"update_of_build": TOLERATED}),
    ({"foreign_record": 403}, {"foreign_record": TOLERATED}),
    ({"unknown_filter": "empty"}, {"unknown_filter": TOLERATED}),
    ({"unknown_query": "ignore"}, {"unknown_query": TOLERATED}),
    ({"closed_release": "accept"}, {"build_in_closed_release": TOLERATED}),
    ({"unbuildable_instances": "reject"}, {"build_of_invalid_instance": TOLERATED}),
    ({"deploy_unfinished_build": "accept"}, {"deploy_running_build": TOLERATED}),
    (
        {"deployment_status": "present"},
        {"fields_of_build_deployments": TOLERATED, "outcome_of_deployment": TOLERATED},
    ),
    ({"deployment_outcome": "FAILED", "deployment_status": "present"}, {"outcome_of_deployment": TOLERATED}),
    ({"deployment_waits": True, "deployment_seconds": 0.5}, {"duration_of_deployment": TOLERATED}),
    ({"deployment_seconds": 0.5}, {"created_deployment": GREEN}),
    ({"automatic_deployments": True}, {"automatic_deployments": TOLERATED}),
    ({"ranges": False}, {"range_of_download": TOLERATED, "body_of_download": GREEN}),
    ({"content_length": False}, {"length_of_download": TOLERATED, "body_of_download": GREEN}),
    ({"download_redirect": "same"}, {"redirect_of_download": TOLERATED, "body_of_download": GREEN}),
    (
        {"download_url_seconds": 600, "download_redirect": "same"},
        {"expiry_of_redirect": TOLERATED, "body_of_download": GREEN},
    ),
    ({"description_limit": 255}, {"description_is_kept": TOLERATED}),
    ({"description_limit": 30}, {"description_is_kept": RED}),
    ({"list_limit": 2}, {"complete_lists": RED}),
    (
        {"list_delay_seconds": HOUR},
        {"created_build_is_listed": TOLERATED, "created_deployment_is_visible": TOLERATED},
    ),
    ({"read_delay_seconds": HOUR}, {"created_build_is_readable": TOLERATED}),
    ({"login_refused": True}, {"token_lifetime": RED}),
    ({"deployment_agents": "assigned"}, {"agent_of_deployment": TOLERATED}),
    ({"deployment_agents": "null"}, {"agent_of_deployment": TOLERATED}),
    (
        {"deployment_agents": "missing"},
        {"agent_of_deployment": TOLERATED, "fields_of_build_deployments": TOLERATED},
    ),
    ({"metadata_response": "array"}, {"metadata_result": TOLERATED}),
    ({"metadata_error": "400"}, {"metadata_error": TOLERATED}),
    ({"clock_skew_seconds": HOUR}, {"timestamps_follow_date": RED, "clock": GREEN}),
    ({"date_skew_seconds": HOUR}, {"timestamps_follow_date": RED, "clock": TOLERATED}),
    (
        {"date_skew_seconds": -HOUR, "clock_skew_seconds": -HOUR},
        {"timestamps_follow_date": GREEN, "clock": TOLERATED},
    ),
    *(
        ({"odd_values": kind}, {"values_of_builds": TOLERATED})
        for kind in ("surrogates", "nul", "nan", "huge_integers", "nested", "line_breaks", "all")
    ),
    ({"odd_values": "large_message"}, {"values_of_builds": RED}),
]

#: Switches that no fact shows, and why.
NOT_SHOWN = {
    "build_seconds": "how long a build takes says nothing about the API",
    "deploy_permission": "needs a second user who may view the project and not build in it",
    "login_lockout_after": "refused logins could lock a real account",
    "login_lockout_seconds": "refused logins could lock a real account",
}
