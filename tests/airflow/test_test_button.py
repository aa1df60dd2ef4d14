"""The Test button of the connection form."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.api.projects import Project
from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook, _describe_login
from tests.airflow.conftest import Connect


class TestTestConnection:
    def test_working_connection_names_the_projects(self, emulator: Emulator, connect: Connect) -> None:
        good, message = MetaKraftwerkHook().test_connection()
        assert good is True
        assert message == (
            f"Logged in at {emulator.url} as demo@example.com (user 1); 4 projects are visible: DEMO_PROJECT, "
            "FINANCE_DWH, HR_DWH, SALES_DWH. The API does not tell whether this user may start builds"
        )

    def test_changed_password_is_noticed(self, emulator: Emulator, connect: Connect) -> None:
        """Despite the cached token of an earlier login."""
        MetaKraftwerkHook().find_builds()
        connect({"password": "changed-meanwhile"})
        good, message = MetaKraftwerkHook().test_connection()
        assert good is False
        assert message.startswith("E-mail or password is wrong. ")
        assert "Invalid login" in message
        assert "changed-meanwhile" not in message
        connect({"login": "me"})
        assert "must be the e-mail address, not the user name" in MetaKraftwerkHook().test_connection()[1]

    def test_unknown_extra_keys_are_named(
        self, emulator: Emulator, connect: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        connect(read_timout=5)
        good, message = MetaKraftwerkHook().test_connection()
        assert good is True
        warning = "unknown extra keys are ignored: `read_timout` (did you mean `read_timeout`?)"
        assert message.endswith(f". Warning: {warning}")
        assert [record.getMessage() for record in caplog.records if "unknown extra" in record.getMessage()] == [
            f"Connection metakraftwerk_default: {warning}."
        ]

    def test_cached_token_is_not_replaced(self, emulator: Emulator, connect: Connect) -> None:
        MetaKraftwerkHook().find_builds()
        assert MetaKraftwerkHook().test_connection()[0]
        MetaKraftwerkHook().find_builds()
        assert [request["path"] for request in emulator.requests("POST")] == ["/authentication"] * 2

    def test_unreachable_server_is_not_retried(self, emulator: Emulator, connect: Connect) -> None:
        connect({"port": 1}, outage_tolerance=900)
        good, message = MetaKraftwerkHook().test_connection()
        assert good is False
        assert "http://127.0.0.1:1 got no response" in message
        assert "1 attempt in 0 s" in message

    def test_faults_of_the_connection_are_named(self, emulator: Emulator, connect: Connect) -> None:
        connect({"login": None}, read_timeout=-1)
        good, message = MetaKraftwerkHook().test_connection()
        assert good is False
        # Airflow makes up an id for the connection that it tests.
        assert message.startswith("the connection cannot be used: ")
        assert "login, the e-mail address, is missing" in message
        assert "read_timeout" in message

    def test_names_of_projects_are_foreign_text(self, emulator: Emulator, connect: Connect) -> None:
        secret = "tok-abcdef-123456"
        visible = [Project(1, name=f"A\nERROR forged {secret}\ud83d"), Project(2, name="B" * 100_000)]
        remember_secrets(secret)
        message = _describe_login(MetaKraftwerkHook().settings, 1, visible)
        assert message.isprintable()
        assert secret not in message
        assert len(message) < 500
