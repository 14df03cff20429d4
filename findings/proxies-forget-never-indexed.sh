#!/usr/bin/env bash
# Software:  Apache 2.4.71 (mod_proxy_http2), HAProxy 2.6.12, nghttpx 1.52.0 of Debian 12, each with clients and members of
#            HTTP/2; h2 4.4.1 of Python on both sides.
# Behaviour: Who sends a field as a literal that is never indexed wants it in no table of HPACK on the whole way: whoever
#            forwards the field has to represent it in the same way (RFC 7541 section 6.2.3). nghttpx does. Apache and
#            HAProxy forget it, both ways, and each goes by names: Apache puts an unknown field into the table all the same,
#            HAProxy the client's Authorization.
# For Shunt: Its reader of HPACK towards clients keeps it, on to members of HTTP/2, and a test shows it. The crate h2, which
#            Shunt speaks with members by, does not say which fields of answers came so; the book says so.
# Seen:      none, request: x-plain indexed, x-token never indexed, authorization never indexed
#            none, answer: x-plain indexed, x-token never indexed, set-cookie never indexed
#            apache, request: x-plain indexed, x-token indexed, authorization never indexed
#            apache, answer: x-plain indexed, x-token indexed, set-cookie not indexed
#            haproxy, request: x-plain not indexed, x-token not indexed, authorization indexed
#            haproxy, answer: x-plain not indexed, x-token not indexed, set-cookie not indexed
#            nghttpx, request: x-plain indexed, x-token never indexed, authorization never indexed
#            nghttpx, answer: x-plain indexed, x-token never indexed, set-cookie never indexed
# Needs:     Debian 12 with its package sources, root (apt-get downloads), python3 with venv, PyPI.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir archives archives/partial
apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::archives="$folder/archives" install \
    --download-only --reinstall --no-install-recommends \
    apache2-bin=2.4.71-1~deb12u1 haproxy=2.6.12-1+deb12u4 nghttp2-proxy=1.52.0-1+deb12u3 > /dev/null
for package in archives/*.deb; do
    dpkg-deb -x "$package" unpacked
done
for package in apache2-bin haproxy nghttp2-proxy; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' archives/"$package"_*.deb
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check h2==4.4.1 hpack==4.2.0 hyperframe==6.1.0
cat > forms.py <<'EOF'
import os
import socket
import subprocess
import threading
import time

import h2.config
import h2.connection
import h2.events
from hpack import NeverIndexedHeaderTuple

WAIT = 5
HERE, UNPACKED = os.getcwd(), os.getcwd() + "/unpacked"
REQUEST = [("x-plain", "of-the-request"), ("x-token", "of-the-request"), ("authorization", "Bearer of-the-request")]
ANSWER = [("x-plain", "of-the-answer"), ("x-token", "of-the-answer"), ("set-cookie", "session=of-the-answer")]
SECRET = {"x-token", "authorization", "set-cookie"}


def marked(fields):
    """Fields as they are sent: the secret ones as literals that are never indexed."""
    return [NeverIndexedHeaderTuple(*field) if field[0] in SECRET else field for field in fields]


def forms(connection, fields):
    """How fields came: the representation of each."""
    table = connection.decoder.header_table.dynamic_entries
    said = {}
    for field in fields:
        name, value = (part.encode() if isinstance(part, str) else part for part in field)
        if isinstance(field, NeverIndexedHeaderTuple):
            form = "never indexed"
        else:
            form = "indexed" if (name, value) in table else "not indexed"
        said[name.decode()] = form
    return said


def converse(connection, h2_side, wanted):
    """Reads until an event of the kind that is wanted."""
    while True:
        octets = connection.recv(65536)
        assert octets, "the connection has ended"
        events = h2_side.receive_data(octets)
        connection.sendall(h2_side.data_to_send())
        for event in events:
            if isinstance(event, wanted):
                return event


def member(listener, seen):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection, seen), daemon=True).start()


def serve(connection, seen):
    side = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    try:
        side.initiate_connection()
        connection.sendall(side.data_to_send())
        event = converse(connection, side, h2.events.RequestReceived)
        seen.update(forms(side, event.headers))
        side.send_headers(event.stream_id, [(":status", "200"), *marked(ANSWER)], end_stream=True)
        connection.sendall(side.data_to_send())
        while connection.recv(65536):
            pass
    except (OSError, AssertionError):
        pass


def ask(port):
    with socket.create_connection(("127.0.0.1", port), WAIT) as connection:
        side = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        side.initiate_connection()
        head = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")]
        side.send_headers(1, head + marked(REQUEST), end_stream=True)
        connection.sendall(side.data_to_send())
        event = converse(connection, side, h2.events.ResponseReceived)
        return forms(side, event.headers)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def apache(port, member):
    modules = "".join(
        f"LoadModule {module}_module {UNPACKED}/usr/lib/apache2/modules/mod_{module}.so\n"
        for module in ("mpm_event", "authz_core", "http2", "proxy", "proxy_http2")
    )
    write("apache.conf", f"""
ServerRoot {HERE}
ServerName h
PidFile {HERE}/apache.pid
Listen 127.0.0.1:{port}
{modules}
User nobody
Group nogroup
ErrorLog {HERE}/apache.log
Protocols h2c
ProxyPass / h2c://127.0.0.1:{member}/
""")
    return [f"{UNPACKED}/usr/sbin/apache2", "-D", "FOREGROUND", "-f", f"{HERE}/apache.conf"]


def haproxy(port, member):
    write("haproxy.cfg", f"""
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
listen l
    bind 127.0.0.1:{port} proto h2
    server s 127.0.0.1:{member} proto h2
""")
    return [f"{UNPACKED}/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"]


def nghttpx(port, member):
    return [
        f"{UNPACKED}/usr/sbin/nghttpx", "--conf=/dev/null", f"--frontend=127.0.0.1,{port};no-tls",
        f"--backend=127.0.0.1,{member};;proto=h2", "--workers=1", "--log-level=ERROR",
    ]


for configure in (None, apache, haproxy, nghttpx):
    seen = {}
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=member, args=(listener, seen), daemon=True).start()
    at = listener.getsockname()[1]
    if configure is None:
        name, port, proxy = "none", at, None
    else:
        name, port = configure.__name__, free_port()
        with open(f"{name}.out", "w") as log:
            proxy = subprocess.Popen(configure(port, at), stdout=log, stderr=log)
    try:
        for _ in range(WAIT * 20):
            try:
                socket.create_connection(("127.0.0.1", port), WAIT).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        answered = ask(port)
    finally:
        if proxy:
            proxy.terminate()
            proxy.wait()
        listener.close()
    for what, fields, came in (("request", REQUEST, seen), ("answer", ANSWER, answered)):
        print(f"{name}, {what}: " + ", ".join(f"{field} {came.get(field)}" for field, _ in fields), flush=True)
EOF
timeout 120 venv/bin/python forms.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
