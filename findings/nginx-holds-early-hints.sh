#!/usr/bin/env bash
# Software:  nginx 1.22.1 of Debian 12 as a proxy with connections to members that stay open (proxy_http_version 1.1).
# Behaviour: A member may send 1xx before its answer (RFC 9110 section 15.2), as 103 with early hints. nginx takes the
#            103 for the answer, and what follows it, the true answer, for the content of the 103, which ends with the
#            connection. It holds all of that back until the member closes: then the client gets both at once. A member
#            that keeps its connection has answered in vain: when proxy_read_timeout is over (60 seconds where it is
#            not set, here 2), the client gets the 103, and the end of the connection. nginx logs a 103.
# For Shunt: Behind nginx a member must not send early hints. A client of nginx that gets a 103 and nothing behind it
#            after 60 seconds is a sign of it; monitors do not see it unless what they ask for has hints as well.
# Seen:      200, member keeps the connection: client gets 200 at once; nginx logs 200
#            103 and 200, member keeps the connection: client gets 103 after the time-out; nginx logs 103
#            103 and 200, member closes: client gets 103, 200 at once; nginx logs 103
# Needs:     Debian 12 with its package sources (apt-get download), python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download nginx=1.22.1-9+deb12u11 > /dev/null
dpkg-deb -x nginx_*.deb unpacked
unpacked/usr/sbin/nginx -v 2>&1
mkdir temp
cat > hints.py <<'EOF'
import os
import re
import socket
import subprocess
import time

WAIT = 10
TIME_OUT = 2
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def until(connection, pattern):
    got = b""
    while not re.search(pattern, got, re.S) and (more := connection.recv(4096)):
        got += more
    return got


def connect(port):
    for _ in range(WAIT * 20):
        try:
            return socket.create_connection(("127.0.0.1", port), WAIT)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("nginx does not listen")


def logged(count):
    for _ in range(WAIT * 20):
        with open("access.log") as log:
            if len(lines := log.read().split()) == count:
                return lines[-1]
        time.sleep(0.05)
    raise SystemExit("nginx does not log")


def ask(port, listener, answer, closes):
    client = connect(port)
    client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    member, _ = listener.accept()
    member.settimeout(WAIT)
    until(member, rb"\r\n\r\n")
    member.sendall(answer)
    begin = time.monotonic()
    if closes:
        member.close()
    got = until(client, rb"ok$")
    late = time.monotonic() - begin > TIME_OUT - 0.5
    member.close()
    client.close()
    statuses = b", ".join(re.findall(rb"HTTP/1.1 (\d+)", got)).decode()
    return f"client gets {statuses} {'after the time-out' if late else 'at once'}"


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(WAIT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    folders = "".join(f"    {kind}_temp_path {os.getcwd()}/temp/{kind};\n" for kind in kinds)
    with open("nginx.conf", "w") as config:
        config.write(f"""
daemon off;
master_process off;
pid {os.getcwd()}/nginx.pid;
error_log {os.getcwd()}/error.log;
events {{}}
http {{
{folders}
    log_format status $status;
    access_log {os.getcwd()}/access.log status;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{listener.getsockname()[1]};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout {TIME_OUT}s;
        }}
    }}
}}
""")
    command = ["unpacked/usr/sbin/nginx", "-p", os.getcwd(), "-c", f"{os.getcwd()}/nginx.conf", "-e", "error.log"]
    proxy = subprocess.Popen(command)
    try:
        for number, (name, answer, closes) in enumerate([
            ("200, member keeps the connection", ANSWER, False),
            ("103 and 200, member keeps the connection", HINTS + ANSWER, False),
            ("103 and 200, member closes", HINTS + ANSWER, True),
        ], 1):
            told = ask(port, listener, answer, closes)
            print(f"{name}: {told}; nginx logs {logged(number)}", flush=True)
    finally:
        proxy.terminate()
        proxy.wait()
EOF
timeout 60 python3 hints.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
