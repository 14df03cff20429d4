#!/usr/bin/env bash
# Software:  Apache 2.4.71 (mod_remoteip), coturn 4.6.1, dnsdist 1.7.3, Exim 4.96, HAProxy 2.6.12, lighttpd 1.4.69
#            (mod_extforward), nginx 1.22.1 (http), PowerDNS Recursor 4.8.8, Varnish 7.1.1 of Debian 12.
# Behaviour: Servers that take the PROXY protocol from their proxy refuse headers that its specification allows. Three
#            close on the shortest line of version 1, "PROXY UNKNOWN", with which health checks begin; HAProxy, whose
#            protocol it is, on UNKNOWN with addresses, which a receiver "must ignore", and on PROXY with AF_UNSPEC; both
#            of PowerDNS on LOCAL with addresses, which a receiver "must discard". With TLVs Apache and Exim take 216
#            bytes behind the fixed 16, lighttpd 240 and Varnish 388: a name in PP2_TYPE_AUTHORITY, which the client
#            chooses, can be longer. Exim greets in any case, and refuses each command behind a header that it refused.
# For Shunt: A monitor with version 1 says its own addresses, with version 2 LOCAL without any. A header of version 2 is at
#            most 16 + 216 bytes long; the client's name goes first.
# Seen:      apache    refuses unknown, unspec; longest 216
#            coturn    refuses unknown, unknown-addresses, unspec; longest > 4096
#            dnsdist   refuses version-1, unknown, unknown-addresses, local-addresses, unspec; longest 496
#            exim      refuses unspec; longest 216
#            haproxy   refuses unknown-addresses, unspec; longest > 4096
#            lighttpd  refuses nothing; longest 240
#            nginx     refuses nothing; longest 1008
#            recursor  refuses version-1, unknown, unknown-addresses, local-addresses, unspec; longest 496
#            varnish   refuses unknown, unknown-addresses; longest 388
# Needs:     Debian 12 with its package sources, root (apt-get downloads, Exim), python3, cc (for Varnish).
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir archives archives/partial
apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::archives="$folder/archives" install \
    --download-only --reinstall --no-install-recommends \
    apache2-bin=2.4.71-1~deb12u1 coturn=4.6.1-1 dnsdist=1.7.3-2 exim4-daemon-heavy=4.96-15+deb12u11 \
    haproxy=2.6.12-1+deb12u4 lighttpd=1.4.69-1 nginx=1.22.1-9+deb12u11 pdns-recursor=4.8.8-1+deb12u1 \
    varnish=7.1.1-2+deb12u1 > /dev/null
for package in archives/*.deb; do
    dpkg-deb -x "$package" unpacked
done
for package in apache2-bin coturn dnsdist exim4-daemon-heavy haproxy lighttpd nginx pdns-recursor varnish; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' archives/"$package"_*.deb
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu:$folder/unpacked/usr/lib
cat > receivers.py <<'EOF'
import os
import socket
import struct
import subprocess
import time

HERE, UNPACKED = os.getcwd(), os.getcwd() + "/unpacked"
WAIT = 5
MOST = 4096


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def version_2(command, family, rest):
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, family]) + struct.pack("!H", len(rest)) + rest


LOCAL, PROXY, UNSPEC, TCP4, NOOP = 0, 1, 0, 0x11, 4
ADDRESSES = socket.inet_aton("192.0.2.1") + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 40000, 80)
ALL_ONES = b":".join([b"ffff"] * 8)
HEADERS = {
    "version-1": b"PROXY TCP4 192.0.2.1 127.0.0.1 40000 80\r\n",
    "unknown": b"PROXY UNKNOWN\r\n",
    "unknown-addresses": b"PROXY UNKNOWN " + ALL_ONES + b" " + ALL_ONES + b" 65535 65535\r\n",
    "version-2": version_2(PROXY, TCP4, ADDRESSES),
    "local": version_2(LOCAL, UNSPEC, b""),
    "local-addresses": version_2(LOCAL, TCP4, ADDRESSES),
    "unspec": version_2(PROXY, UNSPEC, b""),
}


def header_of(length):
    """A header of version 2 with so many bytes behind the fixed 16."""
    padding = length - len(ADDRESSES) - 3
    return version_2(PROXY, TCP4, ADDRESSES + struct.pack("!BH", NOOP, padding) + bytes(padding))


def take(port, header, question, answers):
    """Whether the server takes the header: it answers `question` with something that has `answers` in it."""
    with socket.create_connection(("127.0.0.1", port), WAIT) as connection:
        connection.settimeout(WAIT)
        answer = b""
        try:
            connection.sendall(header + question)
            while answers not in answer:
                piece = connection.recv(4096)
                if not piece:
                    return False
                answer += piece
        except ConnectionError:
            return False
        return True


def take_mail(port, header, _question, _answers):
    """The same with Exim, which greets first."""
    with socket.create_connection(("127.0.0.1", port), WAIT) as connection:
        connection.settimeout(WAIT)
        lines = connection.makefile("rwb")
        connection.sendall(header)
        assert lines.readline().startswith(b"220 "), "Exim greets"
        for command in (b"HELO h\r\n", b"MAIL FROM:<a@h.example>\r\n"):
            lines.write(command)
            lines.flush()
            answer = lines.readline()
        # The rest of a header that it did not read is a command of its own.
        return answer.startswith(b"250 ")


HTTP = (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b" 200 ")
QUERY = struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + b"\x01a\x07example\0\0\1\0\1"
DNS = (struct.pack("!H", len(QUERY)) + QUERY, socket.inet_aton("192.0.2.9"))
STUN = (struct.pack("!HHI", 1, 0, 0x2112A442) + b"a" * 12, struct.pack("!H", 0x0101))
MAIL = (b"", b"")


def write(name, text):
    with open(name, "w") as file:
        file.write(text)
    os.chmod(name, 0o644)


def servers():
    os.makedirs("www")
    write("www/index.html", "hello\n")
    modules = "/usr/lib/apache2/modules"
    port = free_port()
    loads = "".join(
        f"LoadModule {name}_module {UNPACKED}{modules}/mod_{name}.so\n"
        for name in ("mpm_event", "authz_core", "dir", "remoteip")
    )
    write("apache.conf", f"""
ServerRoot {HERE}
ServerName h
PidFile {HERE}/apache.pid
Listen 127.0.0.1:{port}
{loads}
User nobody
Group nogroup
ErrorLog {HERE}/apache.log
DocumentRoot {HERE}/www
RemoteIPProxyProtocol On
""")
    yield "apache", port, [f"{UNPACKED}/usr/sbin/apache2", "-D", "FOREGROUND", "-f", f"{HERE}/apache.conf"], HTTP
    port = free_port()
    yield "coturn", port, [
        f"{UNPACKED}/usr/bin/turnserver", "-n", "-L", "127.0.0.1", "-X", "127.0.0.1", f"--tcp-proxy-port={port}",
        f"--listening-port={free_port()}", "--no-tls", "--no-dtls", "--no-cli", "--no-auth", "-r", "x",
        "--log-file", "stdout", "--pidfile", f"{HERE}/coturn.pid",
    ], STUN
    port = free_port()
    write("dnsdist.lua", f"""
setLocal("127.0.0.1:{port}")
addACL("0.0.0.0/0")
setProxyProtocolACL({{"127.0.0.0/8"}})
addAction(AllRule(), SpoofAction("192.0.2.9"))
""")
    yield "dnsdist", port, [
        f"{UNPACKED}/usr/bin/dnsdist", "--supervised", "--disable-syslog", "-C", "dnsdist.lua",
    ], DNS
    port = free_port()
    os.makedirs("exim")
    os.chmod("exim", 0o777)
    write("exim.conf", f"""
spool_directory = {HERE}/exim
log_file_path = {HERE}/exim/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
hosts_proxy = 127.0.0.1
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
primary_hostname = h.example
begin routers
drop:
  driver = redirect
  data = :blackhole:
""")
    yield "exim", port, [
        f"{UNPACKED}/usr/sbin/exim4", "-bdf", "-C", f"{HERE}/exim.conf", "-oP", f"{HERE}/exim.pid",
    ], MAIL
    port = free_port()
    write("haproxy.cfg", f"""
defaults
    mode http
    timeout client 5s
frontend f
    bind 127.0.0.1:{port} accept-proxy
    http-request return status 200
""")
    yield "haproxy", port, [f"{UNPACKED}/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"], HTTP
    port = free_port()
    write("lighttpd.conf", f"""
server.document-root = "{HERE}/www"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_extforward")
server.errorlog = "{HERE}/lighttpd.log"
index-file.names = ("index.html")
extforward.hap-PROXY = "enable"
extforward.forwarder = ("127.0.0.1" => "trust")
""")
    yield "lighttpd", port, [
        f"{UNPACKED}/usr/sbin/lighttpd", "-D", "-f", "lighttpd.conf", "-m", f"{UNPACKED}/usr/lib/lighttpd",
    ], HTTP
    port = free_port()
    bodies = "".join(f"{kind}_temp_path {HERE}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    write("nginx.conf", f"""
daemon off;
master_process off;
pid {HERE}/nginx.pid;
error_log {HERE}/nginx.log;
events {{}}
http {{
    access_log off;
    {bodies}
    server {{ listen 127.0.0.1:{port} proxy_protocol; location / {{ return 200; }} }}
}}
""")
    yield "nginx", port, [f"{UNPACKED}/usr/sbin/nginx", "-e", f"{HERE}/nginx.log", "-c", f"{HERE}/nginx.conf"], HTTP
    port = free_port()
    os.makedirs("recursor")
    write("recursor/zone", "$ORIGIN example.\n@ IN SOA a a 1 1 1 1 1\na IN A 192.0.2.9\n")
    write("recursor/recursor.conf", f"""
local-address=127.0.0.1
local-port={port}
proxy-protocol-from=127.0.0.0/8
allow-from=0.0.0.0/0
auth-zones=example={HERE}/recursor/zone
socket-dir={HERE}/recursor
threads=1
""")
    yield "recursor", port, [f"{UNPACKED}/usr/sbin/pdns_recursor", f"--config-dir={HERE}/recursor", "--daemon=no"], DNS
    port = free_port()
    write("varnish.vcl", "vcl 4.1; backend none none; sub vcl_recv { return (synth(200)); }")
    yield "varnish", port, [
        f"{UNPACKED}/usr/sbin/varnishd", "-F", "-n", f"{HERE}/varnish", "-a", f"127.0.0.1:{port},PROXY",
        "-f", f"{HERE}/varnish.vcl", "-s", "malloc,10m", "-j", "none",
    ], HTTP


def wait_for(port, log):
    for _ in range(WAIT * 20):
        try:
            socket.create_connection(("127.0.0.1", port), WAIT).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit(f"the server does not listen:\n{open(log).read()}")


for name, port, command, exchange in servers():
    with open(f"{name}.out", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(port, f"{name}.out")
        takes = take_mail if exchange == MAIL else take
        refused = [kind for kind, header in HEADERS.items() if not takes(port, header, *exchange)]
        if takes(port, header_of(MOST), *exchange):
            longest = f"> {MOST}"
        else:
            longest, beyond = 15, MOST
            while beyond - longest > 1:
                middle = (longest + beyond) // 2
                if takes(port, header_of(middle), *exchange):
                    longest = middle
                else:
                    beyond = middle
    finally:
        server.terminate()
        server.wait()
    print(f"{name:9} refuses {', '.join(refused) or 'nothing'}; longest {longest}", flush=True)
EOF
timeout 300 python3 receivers.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
