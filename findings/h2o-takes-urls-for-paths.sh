#!/usr/bin/env bash
# Software:  h2o 2.2.5+dfsg2-7 of Debian 12, as a reverse proxy (proxy.reverse.url).
# Behaviour: Every server takes a target in absolute form (RFC 9112 section 3.2.2), which proxies in front may send.
#            h2o puts a slash before it and takes the whole for a path: the member is asked for another thing than the
#            client wanted, and paths of the configuration do not match.
# For Shunt: A pool of h2o servers must get the origin form, which is what Shunt writes; a web proxy's pool must not
#            have h2o in it.
# Seen:      GET /a?b: member is asked for /a?b, as /
#            GET http://h/a?b: member is asked for /http://h/a?b, as /
#            GET /only/a: member is asked for /a, as /only
#            GET http://h/only/a: member is asked for /http://h/only/a, as /
# Needs:     Debian 12 with its package sources (apt-get download), python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download \
    h2o=2.2.5+dfsg2-7 libh2o-evloop0.13=2.2.5+dfsg2-7 libh2o0.13=2.2.5+dfsg2-7 libyaml-0-2=0.2.5-1 > /dev/null
for package in *.deb; do
    dpkg-deb -x "$package" unpacked
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu
unpacked/usr/bin/h2o --version | sed -n 1p
cat > forms.py <<'EOF'
import socket
import subprocess
import time

WAIT = 5


def until_head(connection):
    got = b""
    while b"\r\n\r\n" not in got and (more := connection.recv(4096)):
        got += more
    return got.decode()


def connect(port):
    for _ in range(WAIT * 20):
        try:
            return socket.create_connection(("127.0.0.1", port), WAIT)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("h2o does not listen")


def ask(port, listener, target):
    client = connect(port)
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    member, _ = listener.accept()
    member.settimeout(WAIT)
    head = until_head(member)
    member.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    until_head(client)
    member.close()
    client.close()
    way = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("x-way"))
    return f"{head.split()[1]}, as {way}"


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(WAIT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    member = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with open("h2o.conf", "w") as config:
        config.write(f"""
listen: {{ host: 127.0.0.1, port: {port} }}
num-threads: 1
hosts:
  default:
    paths:
      /only: {{ proxy.reverse.url: "{member}", proxy.header.set: "x-way: /only" }}
      /: {{ proxy.reverse.url: "{member}", proxy.header.set: "x-way: /" }}
""")
    with open("log", "w") as log:
        proxy = subprocess.Popen(["unpacked/usr/bin/h2o", "-c", "h2o.conf"], stdout=log, stderr=log)
    try:
        for target in ["/a?b", "http://h/a?b", "/only/a", "http://h/only/a"]:
            print(f"GET {target}: member is asked for {ask(port, listener, target)}", flush=True)
    finally:
        proxy.terminate()
        proxy.wait()
EOF
timeout 60 python3 forms.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
