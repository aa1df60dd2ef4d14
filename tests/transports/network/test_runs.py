"""Runs of flows: their steps, how they are stopped, what a forked child has for itself, and what errors show."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback

import pytest

from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.client.flows import Exclusive, MaskSecret, Offload, Sleep
from mkw_airflow_provider.client.request import Request, TransportError
from mkw_airflow_provider.client.transports.network import describe
from mkw_airflow_provider.client.transports.stopping import StoppedError, StopSignal
from mkw_airflow_provider.client.transports.sync import Client
from mkw_airflow_provider.exceptions import NotFoundError
from tests.transports.network.conftest import settings_for

REDIRECTED = "http://user:s3cret@127.0.0.1:9/file?signature=s3cret"


def test_stop_ends_a_pause(metakraftwerk):
    """A task that is being killed does not wait out an outage first."""
    client, stop = Client(settings_for(metakraftwerk), "a", lambda secret: None), StopSignal()

    def rest():
        yield Sleep(3600)

    threading.Timer(0.05, stop.set).start()
    with pytest.raises(StoppedError):
        client.run(rest(), stop)


def test_short_pauses_end():
    """Before Python 3.13, one in some thousand short waits for a new queue lasts forever."""

    def pause_often():
        for _ in range(50_000):
            StopSignal().sleep(2e-6)

    thread = threading.Thread(target=pause_often, daemon=True)
    thread.start()
    thread.join(240)
    assert not thread.is_alive()


def test_stop_belongs_to_one_run(metakraftwerk):
    client, stop = Client(settings_for(metakraftwerk), "a", lambda secret: None), StopSignal()

    def read():
        return (yield find_projects()).status

    stop.set()
    with pytest.raises(StoppedError):
        client.run(read(), stop)
    assert metakraftwerk.requests() == []
    assert client.run(read()) == 401


def test_stop_takes_no_lock(metakraftwerk):
    """A signal handler calls it, perhaps in the thread that waits for the signal."""
    stop = StopSignal()
    previous = signal.signal(signal.SIGUSR1, lambda *_: stop.set())
    try:
        threading.Timer(0.05, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1)).start()
        with pytest.raises(StoppedError):
            stop.sleep(3600)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    with pytest.raises(StoppedError):
        stop.sleep(3600)


def test_both_transports_run_every_step(metakraftwerk, transport):
    def inner():
        yield Sleep(0)
        return "inner"

    def failing():
        yield Sleep(0)
        raise NotFoundError(404, "nothing")

    def outer():
        assert (yield Sleep(0.001)) is None
        assert (yield MaskSecret("hidden")) is None
        assert (yield Offload(lambda: "computed")) == "computed"
        reply = yield find_projects()
        found = yield Exclusive("turn", inner())
        with pytest.raises(NotFoundError):
            yield Exclusive("turn", failing())
        with pytest.raises(TypeError, match="a flow yielded 'nonsense'"):
            yield "nonsense"
        return reply.status, found

    assert transport.run(settings_for(metakraftwerk), outer()) == (401, "inner")
    assert transport.masked == ["hidden"]


def test_wait_for_another_flow_is_bounded(metakraftwerk, transport):
    def inner():
        yield Sleep(0)

    def outer():
        with pytest.raises(TimeoutError, match="another flow"):
            yield Exclusive("key", inner(), timeout=0.01)
        yield Exclusive("other key", inner(), timeout=0.01)

    def holder():
        yield Exclusive("key", outer())

    transport.run(settings_for(metakraftwerk), holder())


def test_forked_child_has_own_locks(metakraftwerk, counted):
    """Another thread of the parent is logging in when it forks, and holds the lock."""
    client = Client(settings_for(metakraftwerk), "a", lambda secret: None)
    logging_in, forked = threading.Event(), threading.Event()

    def log_in():
        logging_in.set()
        forked.wait(60)
        yield Sleep(0)

    def exclusive(flow, timeout=None):
        yield Exclusive("login", flow, timeout)

    def read():
        return (yield find_projects()).status

    client.run(read())
    thread = threading.Thread(target=client.run, args=(exclusive(log_in()),))
    thread.start()
    logging_in.wait(60)
    child = os.fork()
    if child == 0:
        # No code of pytest may run here.
        with contextlib.suppress(BaseException):
            client.run(exclusive(read(), timeout=30.0))
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    forked.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert counted()[0] == 2


def test_redirect_address_reveals_no_secret(metakraftwerk, transport):
    """Scheme, host and path are shown; login and query may be secrets."""

    def read():
        with pytest.raises(TransportError) as caught:
            yield Request("GET", REDIRECTED, lambda response: None)
        return "".join(traceback.format_exception(caught.value))

    text = transport.run(settings_for(metakraftwerk, token="t"), read())
    assert "s3cret" not in text
    assert "TransportError" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no route to https://user:s3cret@host/path?sig=s3cret&x=1", "no route to https://host/path?..."),
        ("url: /path?sig=s3cret (Caused by x)", "url: /path?... (Caused by x)"),
        ("'//s3cret@host:1' or \"?s3cret\"", "'//host:1' or \"?...\""),
        ("Really? Yes.", "Really? Yes."),
    ],
)
def test_errors_show_neither_login_nor_query(text, shown):
    assert describe(ValueError(text)) == f"ValueError: {shown}"
