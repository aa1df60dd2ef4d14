from __future__ import annotations

import base64
import json

import pytest

LOGIN = {"strategy": "local", "email": "demo@example.com", "password": "demo-password"}


def test_login_returns_token_and_user(anonymous):
    response = anonymous.call("POST", "/authentication", LOGIN)
    token = response.json["accessToken"]
    assert response.status == 201
    assert response.json == {
        "accessToken": token,
        "authentication": {"strategy": "local", "accessToken": token},
        "user": {"id": 1, "email": "demo@example.com"},
    }


def test_token_is_a_jwt_of_type_access(emulator, anonymous):
    emulator.set(token_seconds=3600)
    tokens = [anonymous.call("POST", "/authentication", LOGIN).json["accessToken"] for _ in range(2)]
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
def test_invalid_logins(anonymous, change, status, message):
    body = {name: value for name, value in (LOGIN | change).items() if value is not None}
    response = anonymous.call("POST", "/authentication", body)
    assert (response.status, response.message) == (status, message)


def test_login_without_a_body(anonymous):
    response = anonymous.call("POST", "/authentication")
    assert (response.status, response.message) == (400, "'email' is required")


def test_body_that_is_not_json(anonymous):
    response = anonymous.call("POST", "/authentication", b"{not json")
    assert (response.status, response.json["name"]) == (400, "BadRequest")


@pytest.mark.parametrize("token", [None, "", "x.y.z"])
def test_other_calls_need_a_valid_token(anonymous, token):
    response = anonymous.get("/builds", token=token)
    assert (response.status, response.message) == (401, "Not authenticated")


def test_other_schemes_are_refused(anonymous):
    assert anonymous.get("/builds", headers={"Authorization": "Basic ZGVtbzpkZW1v"}).status == 401


@pytest.mark.parametrize("message", ["Not authenticated", "jwt expired"])
def test_message_for_an_expired_token(emulator, demo, message):
    emulator.set(expired_message=message)
    assert demo.get("/projects").status == 200
    emulator.expire_tokens()
    response = demo.get("/projects")
    assert (response.status, response.message) == (401, message)


def test_tokens_expire_with_the_clock(emulator, anonymous):
    emulator.set(token_seconds=0)
    assert anonymous.log_in("demo@example.com").get("/projects").status == 401


def test_a_new_login_after_expiry_works(emulator, demo):
    emulator.expire_tokens()
    assert demo.log_in("demo@example.com").get("/projects").status == 200


def test_unknown_path(demo):
    response = demo.get("/nothing")
    assert (response.status, response.message) == (404, "Page not found")
