#!/usr/bin/env bash
# Software:  dnsdist 1.7.3, HAProxy 2.6.12, lighttpd 1.4.69, nginx 1.22.1, Varnish 7.1.1 of Debian 12.
# Behaviour: A hash of the URL, or of the name that is asked for, is to keep each key at one member, and a consistent one to
#            move no key of a member that stays. Three that are called so do not. HAProxy's `hash-type consistent` knows a
#            server by its place in the file unless it has an `id`: one that is taken out of the middle moves half of the
#            others' keys, and another order all of them ("only a few part of the mappings are redistributed", says the
#            manual). dnsdist's `chashed` draws at each start by what it knows a server and how it hashes, so that a restart
#            moves all, and two instances never agree, unless both are written. Varnish's `directors.hash` goes by place as
#            well; its `shard` does not. And lighttpd gives one of ten members 90 of 100 keys: a member has one point on the
#            ring, and those of addresses that follow one another lie side by side.
# For Shunt: It knows a member by address and port; a model test turns members around and takes them out. The book has the
#            table, for those who come from another balancer, or run one beside Shunt.
# Seen:      dnsdist, chashed: shares by chance, moved nearly all, nearly all, nearly all
#            dnsdist, chashed, with id, weight 1000 and setWHashedPertubation: shares 0.8 to 1.2, moved none, none, none
#            HAProxy, balance uri: shares 1.0 to 1.0, moved nearly all, nearly all, none
#            HAProxy, balance uri, hash-type consistent: shares 0.7 to 1.6, moved 54 %, nearly all, none
#            HAProxy, the same, server with id: shares 0.7 to 1.6, moved none, none, none
#            lighttpd, proxy.balance hash: shares 0.1 to 9.0, moved none, none, none
#            nginx, hash $uri: shares 0.8 to 1.2, moved nearly all, nearly all, none
#            nginx, hash $uri consistent: shares 0.8 to 1.2, moved none, none, none
#            Varnish, directors.hash: shares 0.9 to 1.1, moved 23 %, nearly all, none
#            Varnish, directors.shard: shares 0.6 to 1.6, moved none, none, none
#            (of ten members and 1,000 keys: the least and the greatest share, 1 being a tenth; keys of the other members
#            that move when one is taken out, in another order, with a restart)
# Needs:     Debian 12 with its package sources, root (apt-get downloads), python3, gcc (for Varnish).
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir archives archives/partial
apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::archives="$folder/archives" install \
    --download-only --reinstall --no-install-recommends \
    dnsdist=1.7.3-2 haproxy=2.6.12-1+deb12u4 lighttpd=1.4.69-1 nginx=1.22.1-9+deb12u11 varnish=7.1.1-2+deb12u1 > /dev/null
for package in archives/*.deb; do
    dpkg-deb -x "$package" unpacked
done
for package in dnsdist haproxy lighttpd nginx varnish; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' archives/"$package"_*.deb
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu:$folder/unpacked/usr/lib/x86_64-linux-gnu/varnish
cat > shares.py <<'EOF'
import asyncio
import http.client
import os
import socket
import struct
import subprocess
import threading
import time
import uuid

WAIT = 10
KEYS = 1000
HERE, UNPACKED = os.getcwd(), os.getcwd() + "/unpacked"
# Addresses and a port that are the same in each run: the hashes are of them.
MEMBERS, PORT = [f"127.83.0.{number}" for number in range(1, 11)], 8083
GONE = "127.83.0.5"


class Web(asyncio.Protocol):
    """A member, which says its address."""

    def connection_made(self, transport):
        self.transport, self.got = transport, b""

    def data_received(self, piece):
        self.got += piece
        while b"\r\n\r\n" in self.got:
            _, _, self.got = self.got.partition(b"\r\n\r\n")
            name = self.transport.get_extra_info("sockname")[0]
            self.transport.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode())


class Names(asyncio.DatagramProtocol):
    """The same as a server of DNS: any name has the address of the member."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, question, client):
        end = question.index(0, 12) + 5
        head = question[:2] + b"\x84\0" + struct.pack("!HHHH", 1, 1, 0, 0)
        address = socket.inet_aton(self.transport.get_extra_info("sockname")[0])
        self.transport.sendto(head + question[12:end] + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + address, client)


def serve_members():
    async def begin():
        loop = asyncio.get_running_loop()
        for member in MEMBERS:
            await loop.create_server(Web, member, PORT)
            await loop.create_datagram_endpoint(Names, (member, PORT))
        ready.set()
        await asyncio.Event().wait()

    ready = threading.Event()
    threading.Thread(target=lambda: asyncio.run(begin()), daemon=True).start()
    assert ready.wait(WAIT), "the members do not listen"


def by_http(port):
    deadline = time.monotonic() + WAIT
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
            connection.connect()
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the proxy does not listen"
            time.sleep(0.05)
    chosen = []
    for key in range(KEYS):
        connection.request("GET", f"/k{key}", headers={"Host": "h"})
        answer = connection.getresponse()
        chosen.append(answer.read().decode())
        assert answer.status == 200, answer.status
    connection.close()
    return chosen


def by_dns(port):
    def ask(key):
        name = f"k{key}".encode()
        question = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + bytes([len(name)]) + name + b"\x04test\0\0\1\0\1"
        client.send(question)
        return socket.inet_ntoa(client.recv(512)[-4:])

    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(0.5)
        for _ in range(WAIT * 2):
            try:
                ask(0)
                break
            except OSError:
                time.sleep(0.1)
        # The first checks of the members are over.
        time.sleep(2)
        client.settimeout(WAIT)
        return [ask(key) for key in range(KEYS)]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def haproxy(port, members, method="", ids=False):
    number = {member: f"id {at + 1}" if ids else "" for at, member in enumerate(MEMBERS)}
    servers = "\n".join(f"    server s{at} {member}:{PORT} {number[member]}" for at, member in enumerate(members))
    write("haproxy.cfg", f"""
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
listen l
    bind 127.0.0.1:{port}
    balance uri
    {method}
{servers}
""")
    return [f"{UNPACKED}/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"]


def nginx(port, members, method):
    servers = "".join(f"server {member}:{PORT};" for member in members)
    bodies = "".join(f"{kind}_temp_path {HERE}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    write("nginx.conf", f"""
daemon off;
master_process off;
pid {HERE}/nginx.pid;
error_log {HERE}/nginx.log;
events {{}}
http {{
    access_log off;
    keepalive_requests 100000;
    {bodies}
    upstream u {{ {method}; {servers} }}
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; }} }}
}}
""")
    return [f"{UNPACKED}/usr/sbin/nginx", "-e", f"{HERE}/nginx.log", "-c", f"{HERE}/nginx.conf"]


def lighttpd(port, members):
    hosts = ", ".join(f'("host" => "{member}", "port" => {PORT})' for member in members)
    write("lighttpd.conf", f"""
server.document-root = "{HERE}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_proxy")
server.errorlog = "{HERE}/lighttpd.log"
server.max-keep-alive-requests = 100000
proxy.balance = "hash"
proxy.server = ("" => ({hosts}))
""")
    return [f"{UNPACKED}/usr/sbin/lighttpd", "-D", "-f", "lighttpd.conf", "-m", f"{UNPACKED}/usr/lib/lighttpd"]


def varnish(port, members, kind, weight, end, choice):
    names = {member: "b" + member.replace(".", "_") for member in members}
    backends = "".join(f'backend {name} {{ .host = "{member}"; .port = "{PORT}"; }}\n' for member, name in names.items())
    adds = "".join(f"d.add_backend({name}{weight});\n" for name in names.values())
    write("pass.vcl", f"""vcl 4.1;
import directors;
{backends}
sub vcl_init {{ new d = directors.{kind}(); {adds} {end} }}
sub vcl_recv {{ set req.backend_hint = d.backend({choice}); return (pass); }}
""")
    return [
        f"{UNPACKED}/usr/sbin/varnishd", "-F", "-j", "none", "-s", "malloc,10m", "-n", f"{HERE}/varnish",
        "-a", f"127.0.0.1:{port}", "-f", f"{HERE}/pass.vcl",
        "-p", f"vmod_path={UNPACKED}/usr/lib/x86_64-linux-gnu/varnish/vmods",
    ]


def dnsdist(port, members, known):
    rows = []
    for member in members:
        # The identifier is the same in each run, where it is given.
        own = f', id="{uuid.uuid5(uuid.NAMESPACE_URL, member)}", weight=1000' if known else ""
        rows.append(f'newServer({{address="{member}:{PORT}"{own}}})')
    write("dnsdist.lua", "\n".join([
        f'setLocal("127.0.0.1:{port}")', "setServerPolicy(chashed)", "setWHashedPertubation(1)" if known else "", *rows,
    ]))
    return [f"{UNPACKED}/usr/bin/dnsdist", "--supervised", "--disable-syslog", "-C", "dnsdist.lua"]


CASES = [
    ("dnsdist, chashed", by_dns, dnsdist, (False,)),
    ("dnsdist, chashed, with id, weight 1000 and setWHashedPertubation", by_dns, dnsdist, (True,)),
    ("HAProxy, balance uri", by_http, haproxy, ()),
    ("HAProxy, balance uri, hash-type consistent", by_http, haproxy, ("hash-type consistent",)),
    ("HAProxy, the same, server with id", by_http, haproxy, ("hash-type consistent", True)),
    ("lighttpd, proxy.balance hash", by_http, lighttpd, ()),
    ("nginx, hash $uri", by_http, nginx, ("hash $uri",)),
    ("nginx, hash $uri consistent", by_http, nginx, ("hash $uri consistent",)),
    ("Varnish, directors.hash", by_http, varnish, ("hash", ", 1.0", "", "req.url")),
    ("Varnish, directors.shard", by_http, varnish, ("shard", "", "d.reconfigure();", "by=URL")),
]


def choose(ask, configure, settings, members):
    port = free_port()
    command = configure(port, members, *settings)
    with open("proxy.log", "w") as log:
        proxy = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        return ask(port)
    finally:
        proxy.terminate()
        proxy.wait()


def moved(before, after, members=MEMBERS):
    """Of the keys whose member is still there, the share that is with another one."""
    pairs = [(was, now) for was, now in zip(before, after) if was in members]
    share = 100 * sum(was != now for was, now in pairs) / len(pairs)
    return "none" if share == 0 else "nearly all" if share > 80 else f"{share:.0f} %"


serve_members()
for name, ask, configure, settings in CASES:
    at_first = choose(ask, configure, settings, MEMBERS)
    again = choose(ask, configure, settings, MEMBERS)
    turned = choose(ask, configure, settings, MEMBERS[::-1])
    left = [member for member in MEMBERS if member != GONE]
    fewer = choose(ask, configure, settings, left)
    counts = sorted(at_first.count(member) * len(MEMBERS) / KEYS for member in MEMBERS)
    shares = f"{counts[0]:.1f} to {counts[-1]:.1f}" if again == at_first else "by chance"
    shown = ", ".join([moved(at_first, fewer, left), moved(at_first, turned), moved(at_first, again)])
    print(f"{name}: shares {shares}, moved {shown}", flush=True)
EOF
timeout 300 python3 shares.py | tee seen
sed -n '/^# Seen:/,/^# *(of ten/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
