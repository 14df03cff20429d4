#!/usr/bin/env bash
# Software:  HAProxy 2.6.12 of Debian 12, asking dnsmasq 2.90.
# Behaviour: `server-template` with a name that begins with an underscore asks for SRV records and takes their weights.
#            HAProxy's weights end at 256 and those of SRV at 65,535, so it divides by 256 and makes 1 of what is below:
#            weights as people write them (10, 30, 60, which RFC 2782 advises for three servers) become equal shares. A
#            server of a worse priority, which is to be asked only when none of the better can be reached, gets its share
#            from the first request on. Weight 0, "a very small probability", gets nothing. The manual says none of it.
# For Shunt: A member by a name of SRV has the record's weight as it is, a priority is a priority group, and the book says
#            so to those who come from HAProxy: there the same records balance in another way.
# Seen:      SRV 1 10 a.app.test   haproxy weight 1   of 100 requests 25
#            SRV 1 30 b.app.test   haproxy weight 1   of 100 requests 25
#            SRV 1 60 c.app.test   haproxy weight 1   of 100 requests 25
#            SRV 2 256 d.app.test   haproxy weight 1   of 100 requests 25
#            SRV 1 0 e.app.test   haproxy weight 0   of 100 requests 0
# Needs:     Debian 12 with its package sources (apt-get download), python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download \
    haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4 \
    dnsmasq-base=2.90-4~deb12u2 > /dev/null
for package in *.deb; do
    dpkg-deb -x "$package" unpacked
    dpkg-deb -W --showformat='${Package} ${Version}\n' "$package"
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu
cat > records.py <<'EOF'
import collections
import os
import socket
import subprocess
import threading
import time

WAIT = 10
UNPACKED = os.getcwd() + "/unpacked"
RECORDS = [("a", 1, 10), ("b", 1, 30), ("c", 1, 60), ("d", 2, 256), ("e", 1, 0)]


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def serve(listener, name):
    """A member, which says its name."""
    while True:
        connection, _ = listener.accept()
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(4096)
                if not piece:
                    break
                request += piece
            else:
                answer = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n{name}"
                connection.sendall(answer.encode())


def ask(port):
    with socket.create_connection(("127.0.0.1", port), WAIT) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := client.recv(4096):
            answer += piece
        return answer[-1:].decode()


def states():
    """The fully qualified name and the weight of each server."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect("haproxy.sock")
        admin.sendall(b"show servers state\n")
        text = b""
        while piece := admin.recv(4096):
            text += piece
    rows = [line.split() for line in text.decode().splitlines()]
    return {row[17]: row[7] for row in rows if len(row) > 18 and row[0] != "#" and row[17] != "-"}


dns, front = free_port(socket.SOCK_DGRAM), free_port()
with open("dnsmasq.conf", "w") as config:
    config.write(f"port={dns}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nlocal=/test/\nuser=\n")
    for at, (name, priority, weight) in enumerate(RECORDS):
        address = f"127.0.0.{10 + at}"
        listener = socket.create_server((address, 0))
        threading.Thread(target=serve, args=(listener, name), daemon=True).start()
        port = listener.getsockname()[1]
        config.write(f"srv-host=_http._tcp.app.test,{name}.app.test,{port},{priority},{weight}\n")
        config.write(f"address=/{name}.app.test/{address}\n")
with open("haproxy.cfg", "w") as config:
    config.write(f"""
global
    stats socket {os.getcwd()}/haproxy.sock
resolvers r
    nameserver n 127.0.0.1:{dns}
    accepted_payload_size 8192
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
listen l
    bind 127.0.0.1:{front}
    balance roundrobin
    server-template s {len(RECORDS)} _http._tcp.app.test resolvers r resolve-prefer ipv4 init-addr none
""")
commands = [
    [f"{UNPACKED}/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=dnsmasq.conf", "--pid-file"],
    [f"{UNPACKED}/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"],
]
with open("servers.log", "w") as log:
    servers = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
try:
    for _ in range(WAIT * 10):
        time.sleep(0.1)
        if os.path.exists("haproxy.sock") and len(weights := states()) == len(RECORDS):
            break
    else:
        raise SystemExit("HAProxy learns nothing:\n" + open("servers.log").read())
    time.sleep(2)
    weights = states()
    shares = collections.Counter(ask(front) for _ in range(100))
finally:
    for server in servers:
        server.terminate()
        server.wait()
for name, priority, weight in RECORDS:
    host = f"{name}.app.test"
    print(f"SRV {priority} {weight} {host}   haproxy weight {weights[host]}   of 100 requests {shares[name]}")
EOF
timeout 120 python3 records.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
