#!/usr/bin/env python3
"""What an idle client connection costs Shunt: resident memory per connection.

Opens connections to one HTTP virtual, a batch at a time; each makes one request and then says nothing. Once they
have all been silent for a while, the growth of the process is divided by their number. Shunt runs with one worker.

  ./idle.py --shunt ../../target/release/shunt
  ./idle.py --shunt ../../target/release/shunt --connections 3000 --batch 3000

The process that opens the connections and the one under test each need as many descriptors: the limit is raised to
what is allowed, and no more connections are made than fit.
"""
import argparse
import http.server
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

CONFIG = """
[process]
workers = 1

[admin]
socket = "{folder}/admin.sock"

[[virtual]]
name = "web"
listen = "127.0.0.1:{port}"
protocol = "http"
pool = "web"
limits = {{ connections = {most} }}
timeouts = {{ idle = "30m" }}

[[pool]]
name = "web"
members = [{{ address = "127.0.0.1:{origin}" }}]
"""
REQUEST = b"GET / HTTP/1.1\r\nhost: shop.example\r\nuser-agent: idle\r\n\r\n"


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers everything with 1 KB."""
    protocol_version = "HTTP/1.1"
    # Head and body in one segment: else each answer waits for a delayed acknowledgement.
    wbufsize = -1

    def do_GET(self):
        body = b"x" * 1024
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def resident(pid):
    """Bytes of memory that the process has, without what it shares with files."""
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def settled(pid, patience):
    """The least that the process came to within so many seconds."""
    least = resident(pid)
    end = time.monotonic() + patience
    while time.monotonic() < end:
        time.sleep(0.5)
        least = min(least, resident(pid))
    return least


def answered(connection):
    """Reads one whole answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        got = connection.recv(65536)
        if not got:
            sys.exit("a connection was closed before its answer; see the log of Shunt")
        data += got
    head, body = data.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(f"not answered: {head.splitlines()[0]!r}")
    while len(body) < 1024:
        body += connection.recv(65536)


def connected(port, patience=10):
    end = time.monotonic() + patience
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                sys.exit("Shunt does not listen")
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shunt", required=True, help="the program, built with --release")
    parser.add_argument("--connections", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=1000, help="how many are opened at once")
    parser.add_argument("--pause", type=float, default=5, help="seconds between batches")
    parser.add_argument("--settle", type=float, default=10, help="seconds of silence before it is measured")
    asked = parser.parse_args()

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(asked.connections, most - 200)
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        port, config = free_port(), os.path.join(folder, "shunt.toml")
        with open(config, "w") as file:
            file.write(CONFIG.format(folder=folder, port=port, origin=origin.server_port, most=count + 100))
        shunt = subprocess.Popen([asked.shunt, "run", "--config", config],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            warm = connected(port)
            warm.sendall(REQUEST)
            answered(warm)
            before = settled(shunt.pid, 5)
            connections = []
            while len(connections) < count:
                new = [connected(port) for _ in range(min(asked.batch, count - len(connections)))]
                for connection in new:
                    connection.sendall(REQUEST)
                    answered(connection)
                connections += new
                if len(connections) < count:
                    time.sleep(asked.pause)
            after = settled(shunt.pid, asked.settle)
        finally:
            shunt.terminate()
            shunt.wait()
    print(f"before: {before / 2**20:.1f} MiB; with {count} idle connections: {after / 2**20:.1f} MiB; "
          f"{(after - before) / count / 1024:.2f} KiB each")


if __name__ == "__main__":
    main()
