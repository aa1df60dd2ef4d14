"""A server of one large file at every path. It ends with its parent.

``python -m dev.benchmarks.servers.files --mebibytes 1024`` prints its address.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dev.benchmarks.servers import answers

BLOCK = 1024 * 1024


class File:
    """A file whose bytes are generated while they are sent.

    :param blocks: size in MiB.
    """

    def __init__(self, blocks: int) -> None:
        self.block = bytes(range(256)) * (BLOCK // 256)
        self.blocks = blocks
        self.size = blocks * BLOCK


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    file: File

    def do_POST(self) -> None:
        """Log in."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._json(201, answers.login())

    def do_GET(self) -> None:
        """Send the file, or for a build the list of its eight files."""
        if "/builds/" in self.path:
            number = int(self.path.rpartition("/")[2])
            build = answers.build(number, share=1.0, started=0.0)
            names = [{"id": i, "pattern": f"P{i}", "pattern_id": i, "name": f"{i}.bin"} for i in range(1, 9)]
            self._json(200, {**build, "downloads": names})
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(self.file.size))
        self.end_headers()
        for _ in range(self.file.blocks):
            self.connection.sendall(self.file.block)

    def _json(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def main() -> None:
    """Run a server with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks.servers.files")
    parser.add_argument("--mebibytes", type=int, required=True, help="size of the file")
    Handler.file = File(parser.parse_args().mebibytes)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://localhost:{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
