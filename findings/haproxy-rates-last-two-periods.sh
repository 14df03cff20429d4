#!/usr/bin/env bash
# Software:  HAProxy 2.6.12 of Debian 12, with a stick table that stores http_req_rate.
# Behaviour: `http_req_rate(4s)` is "the average HTTP request rate over that period" (manual, stick-table). HAProxy keeps
#            two counts, of this period and of the one before, and takes of the latter the part that its window still covers,
#            as if the requests had been spread over it. A client that sends many at once at the begin of a period is over
#            its limit for nearly two periods, the longer the more it sent; at the end of a period, for one. Requests that
#            are denied count as well: a client that goes on with twice its limit passes once, and then never again.
# For Shunt: A window of a rule's table counts what was let through and nothing else, and says how long. Whoever brings a
#            limit from HAProxy has to know that it let through less than it says.
# Seen:      11 requests at once: more than 10 for 1.0 periods
#            100 requests at once: more than 10 for 1.9 periods
#            1000 requests at once: more than 10 for 2.0 periods
#            100 requests at the end of a period: more than 10 for 1.0 periods
#            20 requests in each period, 10 allowed: 10, 0, 0, 0 pass
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
cat > rates.py <<'EOF'
import os
import re
import socket
import subprocess
import time

WAIT = 10
PERIOD, LIMIT = 4, 10


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def rate(key):
    """What the table says, which asks count nothing of."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect("haproxy.sock")
        admin.sendall(f"show table l key {key}\n".encode())
        text = b""
        while piece := admin.recv(4096):
            text += piece
    found = re.search(rb"http_req_rate\(\d+\)=(\d+)", text)
    return int(found[1]) if found else 0


def send(key, count, gap=0.0):
    """Requests one after the other: the statuses, and the time of the last."""
    statuses = []
    with socket.create_connection(("127.0.0.1", port), WAIT) as client:
        begin = time.monotonic()
        for number in range(count):
            time.sleep(max(0, begin + number * gap - time.monotonic()))
            client.sendall(f"GET /{key}?k={key} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            statuses.append(int(client.recv(4096).split()[1]))
    return statuses, time.monotonic()


def until_below(key):
    while rate(key) > LIMIT:
        time.sleep(0.02)
    return time.monotonic()


port = free_port()
with open("haproxy.cfg", "w") as config:
    config.write(f"""
global
    stats socket {os.getcwd()}/haproxy.sock
defaults
    mode http
    timeout client 60s
listen l
    bind 127.0.0.1:{port}
    stick-table type string size 1k expire 1m store http_req_rate({PERIOD}s)
    http-request track-sc0 url_param(k)
    http-request deny deny_status 429 if {{ path /limited }} {{ sc0_http_req_rate gt {LIMIT} }}
    http-request return status 200
""")
with open("haproxy.log", "w") as log:
    haproxy = subprocess.Popen(["unpacked/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"], stdout=log, stderr=log)
try:
    for _ in range(WAIT * 20):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    for key, before, count in (("a", 0, 11), ("b", 0, 100), ("c", 0, 1000), ("d", 0.9, 100)):
        if before:
            # One request begins the period, and the others come at its end.
            send(key, 1)
            time.sleep(before * PERIOD)
        _, last = send(key, count)
        took = until_below(key) - last
        where = "at the end of a period" if before else "at once"
        print(f"{count} requests {where}: more than {LIMIT} for {took / PERIOD:.1f} periods", flush=True)
    statuses, _ = send("limited", 8 * LIMIT, PERIOD / LIMIT / 2)
    periods = [statuses[at:at + 2 * LIMIT].count(200) for at in range(0, len(statuses), 2 * LIMIT)]
    print(f"{2 * LIMIT} requests in each period, {LIMIT} allowed: {', '.join(map(str, periods))} pass", flush=True)
finally:
    haproxy.terminate()
    haproxy.wait()
EOF
timeout 120 python3 rates.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
