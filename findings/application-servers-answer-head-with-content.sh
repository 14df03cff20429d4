#!/usr/bin/env bash
# Software:  waitress 3.0.2 and daphne 4.2.3 (application servers of Python), beside gunicorn 27.0.1 and hypercorn 0.18.0.
# Behaviour: An answer to HEAD has no content, whatever its Content-Length (RFC 9112 section 6.3). An application that
#            does not look at the method gives content all the same, and its server is to leave it out. waitress sends
#            it, daphne all pieces of it but the first, and both keep the connection: what follows the head of the next
#            answer belongs to the one before. gunicorn and hypercorn leave it out.
# For Shunt: A connection to a member is used again only if nothing has come on it since its last answer, and one that
#            begins with something else than an answer is given up, with the request sent again where it may be.
# Seen:      waitress   12 bytes behind the head, then "HTTP/1.1 200" to the next request
#            daphne     6 bytes behind the head, then "HTTP/1.1 200" to the next request
#            gunicorn   0 bytes behind the head, then "HTTP/1.1 200" to the next request
#            hypercorn  0 bytes behind the head, then "HTTP/1.1 200" to the next request
# Needs:     python3 with venv, PyPI.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    waitress==3.0.2 daphne==4.2.3 gunicorn==27.0.1 hypercorn==0.18.0
cat > app.py <<'EOF'
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "12")])
    return [b"hello ", b"there\n"]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"12")]})
    await send({"type": "http.response.body", "body": b"hello ", "more_body": True})
    await send({"type": "http.response.body", "body": b"there\n"})
EOF
cat > head.py <<'EOF'
import socket
import subprocess
import time

WAIT = 20
SERVERS = {
    "waitress": "waitress-serve --listen=127.0.0.1:{port} app:wsgi",
    "daphne": "daphne -b 127.0.0.1 -p {port} app:asgi",
    "gunicorn": "gunicorn --bind 127.0.0.1:{port} --worker-class gthread --threads 2 app:wsgi",
    "hypercorn": "hypercorn --bind 127.0.0.1:{port} app:asgi",
}


def connect(port):
    for _ in range(WAIT * 10):
        try:
            return socket.create_connection(("127.0.0.1", port), WAIT)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("the server does not listen")


def ask(connection, method, until):
    connection.sendall(f"{method} / HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    got = b""
    while until not in got:
        more = connection.recv(4096)
        if not more:
            break
        got += more
    return got


for name, command in SERVERS.items():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = command.format(port=port).split()
    server = subprocess.Popen(["venv/bin/" + command[0], *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(port) as connection:
            got = ask(connection, "HEAD", b"\r\n\r\n")
            # What comes behind the head does so at once.
            connection.settimeout(1)
            try:
                got += connection.recv(4096)
            except TimeoutError:
                pass
            connection.settimeout(WAIT)
            behind = len(got.partition(b"\r\n\r\n")[2])
            following = ask(connection, "GET", b"there\n")[:12].decode()
        print(f'{name:9}  {behind} bytes behind the head, then "{following}" to the next request', flush=True)
    finally:
        server.terminate()
        server.wait()
EOF
timeout 120 python3 head.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
