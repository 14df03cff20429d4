#!/usr/bin/env bash
# Software:  HAProxy 2.6.12 of Debian 12, two of them with one stick table between peers.
# Behaviour: Peers tell each other the counters of their stick tables, and each puts what it is told in the place of what it
#            has: nothing is added. One after the other the counts look like a sum, for the second goes on from what it was
#            told. At the same time each tells its own, and what the other counted meanwhile is gone: of 400 requests that
#            a client spread over two balancers, both counted from 204 to 339, as it happened. So a shared limit lets up to
#            twice through of what it says, and in a trial by hand what it says.
# For Shunt: Tables have one owner, a daemon. What is to be shared by several has to be told as differences and added.
# Seen:      100 requests to one: counted 100 and 100
#            then 100 to the other: counted 200 and 200
#            200 to each at the same time: counted the same too few
# Needs:     Debian 12 with its package sources (apt-get download), python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download \
    haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4 > /dev/null
for package in *.deb; do
    dpkg-deb -x "$package" unpacked
done
dpkg-deb -W --showformat='${Package} ${Version}\n' haproxy_*.deb
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu
cat > peers.py <<'EOF'
import os
import re
import socket
import subprocess
import threading
import time

WAIT = 20


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


FRONTS, PEERS = ({name: free_port() for name in "ab"} for _ in range(2))


def counted(name, key):
    """What the table of one says, which asks count nothing of."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(f"{name}.sock")
        admin.sendall(f"show table t key {key}\n".encode())
        text = b""
        while piece := admin.recv(4096):
            text += piece
    found = re.search(rb"http_req_cnt=(\d+)", text)
    return int(found[1]) if found else 0


def send(name, key, count, gap):
    with socket.create_connection(("127.0.0.1", FRONTS[name]), WAIT) as client:
        for _ in range(count):
            client.sendall(f"GET /?k={key} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert client.recv(4096)
            time.sleep(gap)


def settled(key):
    """What both say when they have told each other all."""
    time.sleep(2)
    return [counted(name, key) for name in "ab"]


def start(name):
    with open(f"{name}.cfg", "w") as config:
        config.write(f"""
global
    stats socket {os.getcwd()}/{name}.sock
defaults
    mode http
    timeout client 60s
peers p
    peer a 127.0.0.1:{PEERS['a']}
    peer b 127.0.0.1:{PEERS['b']}
backend t
    stick-table type string size 1k expire 5m store http_req_cnt peers p
frontend f
    bind 127.0.0.1:{FRONTS[name]}
    http-request track-sc0 url_param(k) table t
    http-request return status 200
""")
    with open(f"{name}.log", "w") as log:
        return subprocess.Popen(
            ["unpacked/usr/sbin/haproxy", "-db", "-q", "-f", f"{name}.cfg", "-L", name], stdout=log, stderr=log
        )


running = [start(name) for name in "ab"]
try:
    # They know each other when a request to one is counted by the other.
    for number in range(WAIT * 2):
        time.sleep(0.5)
        if all(os.path.exists(f"{name}.sock") for name in "ab"):
            for name in "ab":
                send(name, f"{name}{number}", 1, 0)
            time.sleep(0.5)
            if counted("b", f"a{number}") and counted("a", f"b{number}"):
                break
    else:
        raise SystemExit("the peers do not meet")
    # What they teach each other at first is over after five seconds.
    time.sleep(6)
    send("a", "turns", 100, 0.005)
    print("100 requests to one: counted {} and {}".format(*settled("turns")), flush=True)
    send("b", "turns", 100, 0.005)
    print("then 100 to the other: counted {} and {}".format(*settled("turns")), flush=True)
    senders = [threading.Thread(target=send, args=(name, "both", 200, 0.01)) for name in "ab"]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    one, other = settled("both")
    words = "the same too few" if one == other and 200 <= one < 380 else f"{one} and {other}"
    print(f"200 to each at the same time: counted {words}", flush=True)
finally:
    for haproxy in running:
        haproxy.terminate()
        haproxy.wait()
EOF
timeout 120 python3 peers.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
