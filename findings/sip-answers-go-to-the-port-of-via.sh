#!/usr/bin/env bash
# Software:  Kamailio 5.6.3 and baresip 1.0.0 (libre 1.1.0), beside SIPp 3.6.1, of Debian 12, over UDP.
# Behaviour: Servers of UDP answer the port that they were asked from. One of SIP answers the address that it was asked from,
#            at the port that the client wrote into Via (RFC 3261 section 18.2.2), unless Via has `rport` (RFC 3581), which the
#            client has to want. A proxy for UDP that asks the server from a port of its own, and does not write Via anew,
#            never sees that answer. Kamailio answers the port that it was asked from after force_rport(). SIPp, with which
#            such a proxy is tried out, always does.
# For Shunt: A virtual for UDP needs members that do so, or clients that send `rport`; the book says how. Its SIP monitor sends
#            `rport`, and finds members up whose answers to other clients get lost.
# Seen:      kamailio: the port of Via; with rport: the port that asked
#            kamailio, force_rport(): the port that asked; with rport: the port that asked
#            baresip: the port of Via; with rport: the port that asked
#            sipp: the port that asked; with rport: the port that asked
# Needs:     Debian 12 with its package sources, root (apt-get downloads), python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir archives archives/partial
apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::archives="$folder/archives" install \
    --download-only --reinstall --no-install-recommends \
    baresip-core=1.0.0-4+b3 kamailio=5.6.3-2 libre0=1.1.0-1+b2 sip-tester=1:3.6.1-1+b2 > /dev/null
for package in archives/*.deb; do
    dpkg-deb -x "$package" unpacked
done
for package in baresip-core kamailio libre0 sip-tester; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' archives/"$package"_*.deb
done
libraries=$folder/unpacked/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$libraries:$libraries/kamailio HOME=$folder TERM=dumb
cat > via.py <<'EOF'
import os
import select
import socket
import subprocess
import time

WAIT = 10
HERE, UNPACKED = os.getcwd(), os.getcwd() + "/unpacked"


def bound():
    made = socket.socket(type=socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def kamailio(port, forced=""):
    write("kamailio.cfg", f"""
debug=1
log_stderror=yes
children=1
disable_tcp=yes
listen=udp:127.0.0.1:{port}
mpath="{UNPACKED}/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "sl.so"
request_route {{ {forced} sl_send_reply("200", "OK"); }}
""")
    return [f"{UNPACKED}/usr/sbin/kamailio", "-f", "kamailio.cfg", "-DD", "-E", "-Y", HERE, "-m", "32"]


def kamailio_forced(port):
    return kamailio(port, "force_rport();")


def baresip(port):
    os.makedirs("baresip", exist_ok=True)
    write("baresip/config", f"""
sip_listen 127.0.0.1:{port}
module_path {UNPACKED}/usr/lib/baresip/modules
module_app account.so
module_app menu.so
""")
    write("baresip/accounts", "<sip:u@127.0.0.1;transport=udp>;regint=0\n")
    write("baresip/contacts", "")
    return [f"{UNPACKED}/usr/bin/baresip", "-f", f"{HERE}/baresip"]


def sipp(port):
    write("answers.xml", """<?xml version="1.0"?>
<scenario name="answers">
<recv request="OPTIONS"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=1
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
""")
    return [f"{UNPACKED}/usr/bin/sipp", "-sf", "answers.xml", "-i", "127.0.0.1", "-p", str(port), "-nostdin"]


def ask(port, rport):
    """Which port the answer comes to; the question is repeated until there is one, as over UDP it has to be."""
    with bound() as asking, bound() as written:
        at = written.getsockname()[1]
        request = "\r\n".join([
            f"OPTIONS sip:127.0.0.1:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{at};branch=z9hG4bK{time.time_ns()}{rport}",
            "From: <sip:a@h>;tag=1",
            f"To: <sip:127.0.0.1:{port}>",
            f"Call-ID: {time.time_ns()}@h",
            "CSeq: 1 OPTIONS",
            "Max-Forwards: 70",
            f"Contact: <sip:a@127.0.0.1:{at}>",
            "Content-Length: 0",
            "", "",
        ])
        for _ in range(WAIT * 2):
            asking.sendto(request.encode(), ("127.0.0.1", port))
            ready, _, _ = select.select([asking, written], [], [], 0.5)
            if ready and ready[0].recv(4096).startswith(b"SIP/2.0 "):
                return "the port that asked" if asking in ready else "the port of Via"
        raise SystemExit("the server does not answer")


for name, configure in (
    ("kamailio", kamailio), ("kamailio, force_rport()", kamailio_forced), ("baresip", baresip), ("sipp", sipp),
):
    with bound() as free:
        port = free.getsockname()[1]
    with open("server.log", "w") as log:
        server = subprocess.Popen(configure(port), stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        print(f"{name}: {ask(port, '')}; with rport: {ask(port, ';rport')}", flush=True)
    finally:
        server.terminate()
        server.wait()
EOF
timeout 120 python3 via.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
