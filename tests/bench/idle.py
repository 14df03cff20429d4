#!/usr/bin/env python3
"""What an idle client connection costs Shunt: resident memory per connection.

Opens connections to one HTTP virtual, a batch at a time; each makes one request and then says nothing. Once they
have all been silent for a while, the growth of the process is divided by their number. Shunt runs with one worker.

  ./idle.py --shunt ../../target/release/shunt
  ./idle.py --shunt ../../target/release/shunt --connections 3000 --batch 3000
  ./idle.py --shunt ../../target/release/shunt --speak h2 --connections 20000     HTTP/2 over TLS 1.3

The process that opens the connections and the one under test each need as many descriptors: the limit is raised to
what is allowed, and no more connections are made than fit.
"""
import argparse
import http.server
import os
import resource
import socket
import ssl
import struct
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
{tls}
pool = "web"
limits = {{ connections = {most} }}
timeouts = {{ idle = "30m" }}

[[pool]]
name = "web"
members = [{{ address = "127.0.0.1:{origin}" }}]
"""
TLS = 'tls = {{ certificate = "{folder}/cert.pem", key = "{folder}/key.pem" }}'
REQUEST = b"GET / HTTP/1.1\r\nhost: shop.example\r\nuser-agent: idle\r\n\r\n"

# RFC 9113 sections 3.4 and 6; the fields of the request by RFC 7541 section 6: GET, https, /, and :authority.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
FIELDS = b"\x82\x87\x84\x41\x0cshop.example"


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


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def exactly(connection, count):
    data = b""
    while len(data) < count:
        got = connection.recv(count - len(data))
        if not got:
            sys.exit("a connection was closed before its answer; see the log of Shunt")
        data += got
    return data


def answered_h2(connection):
    """Reads the whole answer on stream 1."""
    while True:
        head = exactly(connection, 9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        exactly(connection, int.from_bytes(head[:3], "big"))
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(frame(SETTINGS, ACK, 0))
        if kind not in (DATA, HEADERS) and stream == 1:
            sys.exit(f"not answered: a frame of type {kind}")
        if stream == 1 and flags & END_STREAM:
            return


def ask(connection):
    if isinstance(connection, ssl.SSLSocket) and connection.selected_alpn_protocol() == "h2":
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, FIELDS))
        return answered_h2(connection)
    connection.sendall(REQUEST)
    answered(connection)


def connected(port, tls=None, number=0, patience=10):
    """A connection; `number` tells sources apart, for an address has not ports enough."""
    end = time.monotonic() + patience
    while True:
        try:
            source = (f"127.0.1.{number // 10_000 + 1}", 0)
            plain = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=source)
            return tls.wrap_socket(plain, server_hostname="shop.example") if tls else plain
        except ConnectionRefusedError:
            if time.monotonic() > end:
                sys.exit("Shunt does not listen")
            time.sleep(0.05)


def client_tls(folder, protocol):
    """A key and a certificate in `folder`, and clients that take any."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example",
                    "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    tls.set_alpn_protocols([protocol])
    return tls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shunt", required=True, help="the program, built with --release")
    parser.add_argument("--speak", choices=["http", "https", "h2"], default="http",
                        help="HTTP/1.1 in clear text or over TLS, or HTTP/2 over TLS")
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
        tls = None if asked.speak == "http" else client_tls(folder, "h2" if asked.speak == "h2" else "http/1.1")
        with open(config, "w") as file:
            file.write(CONFIG.format(folder=folder, port=port, origin=origin.server_port, most=count + 100,
                                     tls=TLS.format(folder=folder) if tls else ""))
        shunt = subprocess.Popen([asked.shunt, "run", "--config", config],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            warm = connected(port, tls)
            ask(warm)
            before = settled(shunt.pid, 5)
            connections = []
            while len(connections) < count:
                begun = len(connections)
                numbers = range(begun, min(begun + asked.batch, count))
                new = [connected(port, tls, number) for number in numbers]
                for connection in new:
                    ask(connection)
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
