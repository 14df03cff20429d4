#!/usr/bin/env bash
# Software:  HAProxy 2.6.12 (mode tcp), nginx 1.22.1 (stream), pen 0.34.1, redir 3.3, rinetd 0.73 of Debian 12.
# Behaviour: A member sends part of its answer and resets the connection. All five end the client's connection with a
#            FIN, as if the answer were whole. A reset of the client reaches the member through HAProxy alone, which
#            passes it on in that direction and not in the other.
# For Shunt: Where such a proxy stands between Shunt and a server, an answer that ends with the connection, without a
#            length, may be a part of it, and nothing can tell.
# Seen:      haproxy  the member resets: client sees FIN   the client resets: member sees RST
#            nginx    the member resets: client sees FIN   the client resets: member sees FIN
#            pen      the member resets: client sees FIN   the client resets: member sees FIN
#            redir    the member resets: client sees FIN   the client resets: member sees FIN
#            rinetd   the member resets: client sees FIN   the client resets: member sees FIN
# Needs:     Debian 12 with its package sources (apt-get download), python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download \
    haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4 \
    nginx=1.22.1-9+deb12u11 libnginx-mod-stream=1.22.1-9+deb12u11 \
    pen=0.34.1-2+b1 redir=3.3-1 rinetd=0.73-1 > /dev/null
for package in *.deb; do
    dpkg-deb -x "$package" unpacked
    dpkg-deb -W --showformat='${Package} ${Version}\n' "$package"
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu
cat > reset.py <<'EOF'
import os
import socket
import struct
import subprocess
import time

WAIT = 5


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def proxies(member):
    here, unpacked = os.getcwd(), os.getcwd() + "/unpacked"
    port = free_port()
    with open("haproxy.cfg", "w") as config:
        config.write(f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
listen l
    bind 127.0.0.1:{port}
    server s 127.0.0.1:{member}
""")
    yield "haproxy", port, [f"{unpacked}/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"]
    port = free_port()
    with open("nginx.conf", "w") as config:
        config.write(f"""
load_module {unpacked}/usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid {here}/nginx.pid;
error_log {here}/nginx.log;
events {{}}
stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{member}; }} }}
""")
    yield "nginx", port, [f"{unpacked}/usr/sbin/nginx", "-e", f"{here}/nginx.log", "-c", f"{here}/nginx.conf"]
    port = free_port()
    user = ["-u", "root"] if os.geteuid() == 0 else []
    yield "pen", port, [f"{unpacked}/usr/bin/pen", "-f", *user, f"127.0.0.1:{port}", f"127.0.0.1:{member}"]
    port = free_port()
    yield "redir", port, [f"{unpacked}/usr/bin/redir", "-n", f"127.0.0.1:{port}", f"127.0.0.1:{member}"]
    port = free_port()
    with open("rinetd.conf", "w") as config:
        config.write(f"127.0.0.1 {port} 127.0.0.1 {member}\n")
    yield "rinetd", port, [f"{unpacked}/usr/sbin/rinetd", "-f", "-c", "rinetd.conf"]


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def end(connection):
    try:
        while connection.recv(4096):
            pass
        return "FIN"
    except ConnectionResetError:
        return "RST"


def meet(port, listener):
    """A client and a member, with the proxy between them, who have heard each other."""
    for _ in range(WAIT * 20):
        try:
            client = socket.create_connection(("127.0.0.1", port), WAIT)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    else:
        raise SystemExit("the proxy does not listen")
    client.sendall(b"question")
    member, _ = listener.accept()
    member.settimeout(WAIT)
    assert member.recv(100) == b"question"
    member.sendall(b"part of the answer")
    assert client.recv(100) == b"part of the answer"
    return client, member


listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(WAIT)
for name, port, command in proxies(listener.getsockname()[1]):
    with open(f"{name}.log", "w") as log:
        proxy = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        client, member = meet(port, listener)
        reset(member)
        at_client = end(client)
        client.close()
        client, member = meet(port, listener)
        reset(client)
        at_member = end(member)
        member.close()
    finally:
        proxy.terminate()
        proxy.wait()
    print(f"{name:8} the member resets: client sees {at_client}   the client resets: member sees {at_member}")
EOF
timeout 120 python3 reset.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
