#!/usr/bin/env bash
# Software:  HAProxy 2.6.12 of Debian 12, with agent-check.
# Behaviour: An agent may say "down", "fail" or "stopped", "optionally followed by a description string after a sharp ('#')"
#            (manual, agent-check). A sharp right behind the word belongs to the word: "down#disk" is none that HAProxy
#            knows, and the server stays up with "No status change", whatever the agent says again. Only behind a space or
#            a comma does the description begin. A percentage without the end of a line is ignored in the same way.
# For Shunt: A monitor with `agent` takes the words up to a sharp, wherever it stands, and a last line without its end.
# Seen:      the agent says "down"          the server is DOWN (agent)
#            the agent says "down #disk"    the server is DOWN (agent)
#            the agent says "down#disk"     the server is UP
#            the agent says "fail #disk"    the server is DOWN (agent)
#            the agent says "fail#disk"     the server is UP
#            the agent says "stopped, #disk" the server is DOWN (agent)
#            the agent says "stopped#disk"  the server is UP
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
cat > agent.py <<'EOF'
import csv
import os
import socket
import subprocess
import threading
import time

WAIT = 10
ANSWERS = ["down", "down #disk", "down#disk", "fail #disk", "fail#disk", "stopped, #disk", "stopped#disk"]


class Agent:
    """Says one line to everyone who connects."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.line, self.asked = "up", 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                connection.sendall(self.line.encode() + b"\n")
            self.asked += 1

    def say(self, line):
        """Until HAProxy has read it three times and more."""
        self.line = line
        begin, deadline = self.asked, time.monotonic() + WAIT
        while self.asked < begin + 5:
            assert time.monotonic() < deadline, "HAProxy does not ask"
            time.sleep(0.05)


def status():
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect("haproxy.sock")
        admin.sendall(b"show stat\n")
        text = b""
        while piece := admin.recv(4096):
            text += piece
    rows = csv.DictReader(text.decode().splitlines())
    return next(row["status"] for row in rows if row["svname"] == "s")


agent, member = Agent(), socket.create_server(("127.0.0.1", 0))
with open("haproxy.cfg", "w") as config:
    config.write(f"""
global
    stats socket {os.getcwd()}/haproxy.sock
defaults
    mode tcp
    timeout connect 5s
    timeout server 5s
backend b
    server s 127.0.0.1:{member.getsockname()[1]} check agent-check agent-port {agent.port} agent-inter 100ms
""")
with open("haproxy.log", "w") as log:
    haproxy = subprocess.Popen(
        ["unpacked/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"], stdout=log, stderr=log
    )
try:
    for line in ANSWERS:
        agent.say("up")
        assert status() == "UP"
        agent.say(line)
        quoted = f'"{line}"'
        print(f"the agent says {quoted:15} the server is {status()}")
finally:
    haproxy.terminate()
    haproxy.wait()
EOF
timeout 120 python3 agent.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
