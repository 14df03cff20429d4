#!/usr/bin/env python3
"""What thousands of HTTP monitors cost Shunt and HAProxy, and how punctual they are.

A pool of members, each an address of 127/8 with one nginx behind all of them, is probed by GET once a second: by
HAProxy, then by Shunt, `--rounds` times in turn, each on the same machine for `--seconds`. Counted are the CPU seconds
of the prober, and from nginx's log when the probes of each member came: how many were more than 50 ms late, by the
second that lies between two of them. HAProxy counts the interval from the end of a probe, so that it sends fewer: CPU is
compared by the probe.

  ./monitors.py --shunt ../../target/release/shunt
  ./monitors.py --shunt ../../target/release/shunt --members 500 --seconds 10
"""
import argparse
import collections
import os
import resource
import subprocess
import tempfile
import time

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 20000; }}
http {{
    log_format when "$msec $server_addr";
    access_log {folder}/probes when buffer=64k flush=1s;
    server {{ listen {port} backlog=8192; location / {{ return 200 "ok"; }} }}
}}
"""
HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    timeout check 1s
listen web
    bind 127.0.0.1:{own}
    option httpchk GET /
    http-check expect status 200
    default-server inter 1s fall 3 rise 2
{servers}
"""
SHUNT = """
[process]
workers = 1

[admin]
socket = "{folder}/admin.sock"

[[virtual]]
name = "web"
listen = "127.0.0.1:{own}"
protocol = "http"
pool = "web"

[[pool]]
name = "web"
monitor = {{ http = "/", interval = "1s", timeout = "1s" }}
members = [
{members}
]
"""


def addresses(count):
    return [f"127.{1 + index // 62500}.{index // 250 % 250}.{1 + index % 250}" for index in range(count)]


def cpu(pid):
    """Seconds of all threads, in user space and in the kernel."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def late(path, begin):
    """Intervals between the probes of each member, and how many were more than 50 ms longer than a second."""
    last, gaps, most, slots = {}, 0, 0, collections.Counter()
    lates = 0
    with open(path) as file:
        file.seek(begin)
        for line in file:
            when, _, member = line.partition(" ")
            when = float(when)
            slots[int(when * 10)] += 1
            if member in last:
                gap = when - last[member] - 1
                gaps += 1
                lates += gap > 0.05
                most = max(most, gap)
            last[member] = when
    whole = [slots[slot] for slot in sorted(slots)[5:-5]]
    return gaps, lates, most, min(whole, default=0), max(whole, default=0)


def measure(name, command, log, options):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(options.settle)
        begin, before = os.path.getsize(log), cpu(process.pid)
        time.sleep(options.seconds)
        spent = cpu(process.pid) - before
        # The log is written once a second.
        time.sleep(1.5)
        gaps, lates, most, least, greatest = late(log, begin)
    finally:
        process.terminate()
        process.wait()
    print(f"{name:8} {spent / options.seconds * 100:6.1f} % of a core, {gaps / options.seconds:7.0f} probes a second, "
          f"{lates} of {gaps} more than 50 ms late, at most {most * 1000:.0f} ms; {least} to {greatest} in each 100 ms",
          flush=True)
    return spent / gaps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shunt", required=True)
    parser.add_argument("--members", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--settle", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=19080)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    members = [(member, options.port) for member in addresses(options.members)]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)

        def write(name, text):
            path = os.path.join(folder, name)
            with open(path, "w") as file:
                file.write(text)
            return path

        log = write("probes", "")
        os.chmod(log, 0o666)
        nginx = write("nginx.conf", NGINX.format(folder=folder, port=options.port))
        servers = "\n".join(f"    server s{n} {ip}:{port} check" for n, (ip, port) in enumerate(members))
        haproxy = write("haproxy.cfg", HAPROXY.format(own=options.port + 1, servers=servers))
        listed = "\n".join(f'    {{ address = "{ip}:{port}" }},' for ip, port in members)
        shunt = write("shunt.toml", SHUNT.format(folder=folder, own=options.port + 2, members=listed))
        origin = subprocess.Popen(["nginx", "-c", nginx, "-p", folder], stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            ratios = []
            for _ in range(options.rounds):
                peer = measure("haproxy", ["haproxy", "-db", "-f", haproxy], log, options)
                own = measure("shunt", [options.shunt, "run", "--config", shunt], log, options)
                ratios.append(own / peer)
            print("CPU of a probe of Shunt by that of HAProxy:", " ".join(f"{ratio:.2f}" for ratio in sorted(ratios)))
        finally:
            origin.terminate()
            origin.wait()


if __name__ == "__main__":
    main()
