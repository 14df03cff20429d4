#!/usr/bin/env python3
"""Requests at a constant rate, with and without thousands of clients that send as slowly as they can.

    tests/bench/slow_senders.py target/release/shunt

Shunt has one worker, on a core of its own. A third of the slow clients send the head of a request in HTTP/1.1, a third a
body in HTTP/1.1, and a third a body in HTTP/2 (prior knowledge): a byte each per second. They have a virtual and a member
of their own, so that nothing but the worker is shared with the clients that are measured. Rounds without and with them
take turns. A request counts from the moment when it was to be sent. Prints p50 and p99 of each round, and at the end
the ratio of the medians.
"""
import argparse
import multiprocessing
import os
import resource
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from clients import Clients, percentile

CONFIG = '''
[process]
workers = 1

[admin]
socket = "{folder}/admin.sock"

[[virtual]]
name = "shop"
listen = "127.0.0.1:{port}"
protocol = "http"
pool = "shop"

[[virtual]]
name = "slow"
listen = "127.0.0.1:{slow}"
protocol = "http"
pool = "slow"
http2 = {{ start = "prior-knowledge" }}
timeouts = {{ head = "30m" }}

[[pool]]
name = "shop"
members = [{{ address = "127.0.0.1:{member}" }}]

[[pool]]
name = "slow"
members = [{{ address = "127.0.0.1:{slow_member}" }}]
'''
REQUEST = b'GET / HTTP/1.1\r\nHost: shop\r\n\r\n'
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n' + b'x' * 1024
# A member that only reads has the connections of those that send bodies.
UPLOAD = b'POST / HTTP/1.1\r\nHost: slow\r\nContent-Length: 1000000\r\n\r\n'


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('shunt')
    arguments.add_argument('--senders', type=int, default=2000)
    arguments.add_argument('--rate', type=int, default=1000, help='requests per second')
    arguments.add_argument('--connections', type=int, default=16)
    arguments.add_argument('--seconds', type=float, default=5.0, help='of a round')
    arguments.add_argument('--rounds', type=int, default=6)
    arguments.add_argument('--cores', default='0,1', help='of Shunt, and of everything else')
    asked = arguments.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    core, others = asked.cores.split(',')
    os.sched_setaffinity(0, {int(others)})
    helpers = []
    with tempfile.TemporaryDirectory() as folder:
        member, slow_member = listener(), listener()
        ports = dict(port=free_port(), slow=free_port(),
                     member=member.getsockname()[1], slow_member=slow_member.getsockname()[1])
        config = os.path.join(folder, 'shunt.toml')
        with open(config, 'w') as file:
            file.write(CONFIG.format(folder=folder, **ports))
        daemon = subprocess.Popen(['taskset', '-c', core, os.path.abspath(asked.shunt), 'run', '--config', config],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            if not daemon.stdout.readline():
                sys.exit('the daemon does not start: `shunt check` says why')
            for served in (serve, member), (swallow, slow_member):
                helpers.append(multiprocessing.Process(target=served[0], args=(served[1],), daemon=True))
                helpers[-1].start()
            measure(asked, Clients(ports['port'], asked.connections, REQUEST, b'HTTP/1.1 200'), ports['slow'])
        finally:
            for helper in helpers:
                helper.kill()
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()


def measure(asked, clients, slow):
    clients.run(asked.rate, 1.0)
    print(f'{asked.senders} slow senders, {asked.rate} requests/s, rounds of {asked.seconds:g} s')
    found = {'quiet': [], 'slow': []}
    for number in range(asked.rounds):
        for name in ('quiet', 'slow') if number % 2 == 0 else ('slow', 'quiet'):
            senders = Senders(slow, asked.senders) if name == 'slow' else None
            times = clients.run(asked.rate, asked.seconds)
            left = senders.end() if senders else None
            p50, p99 = (percentile(times, part) for part in (0.5, 0.99))
            found[name].append((p50, p99))
            print(f'{name}: p50 {p50 * 1e6:6.0f} us  p99 {p99 * 1e6:6.0f} us  max {max(times) * 1e3:6.1f} ms'
                  + (f'  {left} of the senders are still connected' if senders else ''))
            time.sleep(0.5)
    for at, what in enumerate(('p50', 'p99')):
        quiet, loaded = (statistics.median(row[at] for row in found[name]) for name in ('quiet', 'slow'))
        print(f'{what}: {quiet * 1e6:.0f} us, with slow senders {loaded * 1e6:.0f} us, {loaded / quiet:.2f} x')


def listener():
    made = socket.create_server(('127.0.0.1', 0), backlog=4096)
    made.setblocking(False)
    return made


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def each_event(server, came):
    poll, open_ = select.epoll(), {}
    poll.register(server.fileno(), select.EPOLLIN)
    while True:
        for key, _ in poll.poll():
            if key == server.fileno():
                client, _ = server.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                open_[client.fileno()] = client
                poll.register(client.fileno(), select.EPOLLIN)
            elif not came(open_[key]):
                open_.pop(key).close()


def serve(server):
    """A member that answers each request, which fits into one segment."""
    def came(client):
        try:
            return client.recv(65536) and client.send(ANSWER)
        except OSError:
            return False
    each_event(server, came)


def swallow(server):
    """A member that reads."""
    def came(client):
        try:
            return client.recv(65536)
        except OSError:
            return False
    each_event(server, came)


class Senders:
    """The slow clients, in a process of their own: this one measures."""

    def __init__(self, port, number):
        self.ending, self.left, ready = multiprocessing.Event(), multiprocessing.Value('i', 0), multiprocessing.Event()
        self.process = multiprocessing.Process(target=self.send, args=(port, number, ready))
        self.process.start()
        ready.wait()

    def end(self):
        self.ending.set()
        self.process.join()
        return self.left.value

    def send(self, port, number, ready):
        kinds = (b'GET /', b'a'), (UPLOAD, b'x'), (http2_upload(), http2_frame(0, 0, 1, b'x'))
        clients = []
        for at in range(number):
            begin, more = kinds[at % len(kinds)]
            client = socket.create_connection(('127.0.0.1', port))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(begin)
            clients.append((client, more))
        time.sleep(1)
        ready.set()
        gone = set()
        while not self.ending.is_set():
            # Spread over the second, in so many steps.
            for step in range(50):
                time.sleep(1 / 50)
                for at in range(step, number, 50):
                    client, more = clients[at]
                    try:
                        client.send(more)
                    except OSError:
                        gone.add(at)
                if self.ending.is_set():
                    break
        self.left.value = number - len(gone)


def http2_frame(kind, flags, stream, payload=b''):
    """RFC 9113 section 4.1."""
    return struct.pack('>I', len(payload))[1:] + struct.pack('>BBI', kind, flags, stream) + payload


def http2_upload():
    """The preface, SETTINGS, and the head of POST http://slow/ (RFC 7541 section 6)."""
    return (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + http2_frame(4, 0, 0)
            + http2_frame(1, 4, 1, b'\x83\x86\x84\x41\x04slow'))


if __name__ == '__main__':
    main()
