"""``python -m mkw_airflow_provider.emulator``: run an emulator until it is stopped."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from mkw_airflow_provider.emulator import snapshot
from mkw_airflow_provider.emulator.server import Emulator
from mkw_airflow_provider.emulator.state.switches import Switches, parse

LARGEST_PORT = 65535


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an emulator until SIGTERM or SIGINT.

    :param arguments: the command line without the program's name; None for this process's own.
    :return: the exit status: 0 after a signal, 1 if it could not start.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments[:1]) == ["snapshot"]:
        return snapshot.main(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        switches = _switches(options)
    except ValueError as error:
        parser.error(str(error))
    if options.tls_key and not options.tls_cert:
        parser.error("--tls-key needs --tls-cert")
    if options.log_requests:
        _log_to_stderr()
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        emulator = Emulator(
            options.database,
            options.tls_cert,
            options.tls_key,
            options.port,
            host=options.host,
            seed=options.seed,
            log_requests=options.log_requests,
            **switches,
        ).start()
    except (OSError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"The emulator could not start: {error}\n")
        return 1
    _print(f"MetaKraftwerk emulator at {emulator.url}")
    _print(f"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT='{emulator.connection_json}'")
    stopped.wait()
    emulator.close()
    return 0


def _print(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has closed it, as `head -1` does; the emulator keeps running without it.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port: give a number from 0 to {LARGEST_PORT}")
    return int(text)


def _address(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the address is empty; 127.0.0.1 is this machine only")
    return text.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mkw_airflow_provider.emulator",
        description="A local MetaKraftwerk. Prints its URL and the Airflow connection to it.",
        epilog="`snapshot --conn-id ID` writes a seed file from a real account instead; see `snapshot --help`.",
    )
    parser.add_argument(
        "--host", type=_address, default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument("--port", type=_port, default=8099, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--database", default=":memory:", metavar="FILE", help="store the state in this file")
    parser.add_argument("--seed", metavar="FILE", help="fill an empty database with this warehouse (JSON)")
    parser.add_argument("--build-seconds", type=float, metavar="N", help="seconds that a build takes (default: 10)")
    parser.add_argument("--tls-cert", type=Path, metavar="PEM", help="serve https with this certificate")
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="the certificate's key")
    parser.add_argument("--log-requests", action="store_true", help="log a line for each request on stderr")
    parser.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"set a switch; may be repeated. Switches: {', '.join(Switches.names())}",
    )
    return parser


def _switches(options: argparse.Namespace) -> dict[str, Any]:
    """Return the switches of a command line.

    :raises ValueError: for an unknown switch or a value that is not allowed.
    """
    switches: dict[str, Any] = {}
    for setting in options.switch:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--switch {setting}: write NAME=VALUE")
        switches[name] = parse(name, text)
    if options.build_seconds is not None:
        switches["build_seconds"] = options.build_seconds
    Switches().change(**switches)
    return switches


def _log_to_stderr() -> None:
    logger = logging.getLogger("mkw_airflow_provider.emulator")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


if __name__ == "__main__":
    sys.exit(main())
