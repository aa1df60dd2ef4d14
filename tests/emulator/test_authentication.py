from __future__ import annotations

import base64
import json

import pytest

LOGIN = {"strategy": "local", "email": "demo@example.com", "password": "demo-password"}


def test_login_returns_token_and_user(nobody):
    answer = nobody.call("POST", "/authentication", LOGIN)
    token = answer.json["accessToken"]
    assert answer.status == 201
    assert answer.json == {
        "accessToken": token,
        "authentication": {"strategy": "local", "accessToken": token},
        "user": {"id": 1, "email": "demo@example.com"},
    }


def test_token_is_a_jwt_of_type_access(emulator, nobody):
    emulator.set(token_seconds=3600)
    tokens = [nobody.call("POST", "/authentication", LOGIN).json["accessToken"] for _ in range(2)]
    header, claims, _ = (base64.urlsafe_b64decode(part + "==") for part in tokens[0].split("."))
    assert json.loads(header) == {"alg": "HS256", "typ": "access"}
    assert json.loads(claims)["sub"] == "1"
    assert json.loads(claims)["exp"] - json.loads(claims)["iat"] == 3600
    assert tokens[0] != tokens[1]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"password": "wrong"}, 401, "Invalid login"),
        ({"email": "nobody@example.com"}, 401, "Invalid login"),
        ({"email": None}, 400, "'email' is required"),
        ({"password": None}, 400, "'password' is required"),
        ({"strategy": "oauth"}, 401, "Invalid authentication information (no `strategy` set)"),
        ({"strategy": None}, 401, "Invalid authentication information (no `strategy` set)"),
        ({"email": 7}, 400, "'email': Input should be a valid string"),
        ({"remember": True}, 400, "Unknown field 'remember'"),
    ],
)
def test_invalid_logins(nobody, change, status, message):
    body = {name: value for name, value in (LOGIN | change).items() if value is not None}
    answer = nobody.call("POST", "/authentication", body)
    assert (answer.status, answer.message) == (status, message)


def test_login_without_a_body(nobody):
    answer = nobody.call("POST", "/authentication")
    assert (answer.status, answer.message) == (400, "'email' is required")


def test_body_that_is_not_json(nobody):
    answer = nobody.call("POST", "/authentication", b"{not json")
    assert (answer.status, answer.json["name"]) == (400, "BadRequest")


@pytest.mark.parametrize("token", [None, "", "x.y.z"])
def test_other_calls_need_a_valid_token(nobody, token):
    answer = nobody.get("/builds", token=token)
    assert (answer.status, answer.message) == (401, "Not authenticated")


def test_other_schemes_are_refused(nobody):
    assert nobody.get("/builds", headers={"Authorization": "Basic ZGVtbzpkZW1v"}).status == 401


@pytest.mark.parametrize("message", ["Not authenticated", "jwt expired"])
def test_message_for_an_expired_token(emulator, demo, message):
    emulator.set(expired_message=message)
    assert demo.get("/projects").status == 200
    emulator.expire_tokens()
    answer = demo.get("/projects")
    assert (answer.status, answer.message) == (401, message)


def test_tokens_expire_with_the_clock(emulator, nobody):
    emulator.set(token_seconds=0)
    assert nobody.log_in("demo@example.com").get("/projects").status == 401


def test_a_new_login_after_expiry_works(emulator, demo):
    emulator.expire_tokens()
    assert demo.log_in("demo@example.com").get("/projects").status == 200


def test_unknown_path(demo):
    answer = demo.get("/nothing")
    assert (answer.status, answer.message) == (404, "Page not found")
