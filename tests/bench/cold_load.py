#!/usr/bin/env python3
"""Requests at a constant rate, with and without loads of a pack that is compiled each time.

    tests/bench/cold_load.py target/release/shunt rules-examples/maintenance/dist/maintenance.wasm

The pack is a component of version 1.0.0 as `shunt rule build` writes it, without slots, whose rule answers itself: then
nothing but Shunt takes part. It is filled up to 100 KB with code that is compiled and never called, and each load has
another version, so that none is in a cache. Rounds without and with loads take turns. A request counts from the moment
when it was to be sent, so that those behind one that is held up count as well. Prints p50 and p99 of each round, and at
the end the ratio of the medians.
"""
import argparse
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from clients import Clients, percentile

SIZE = 100_000
REQUEST = b'GET / HTTP/1.1\r\nHost: shop\r\n\r\n'


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('shunt')
    arguments.add_argument('pack')
    arguments.add_argument('--rate', type=int, default=1000, help='requests per second')
    arguments.add_argument('--connections', type=int, default=16)
    arguments.add_argument('--seconds', type=float, default=5.0, help='of a round')
    arguments.add_argument('--rounds', type=int, default=8)
    arguments.add_argument('--every', type=float, default=0.25, help='seconds between loads')
    asked = arguments.parse_args()
    with open(asked.pack, 'rb') as file:
        pack = filled(file.read())
    with tempfile.TemporaryDirectory() as folder:
        daemon, port, admin = start(os.path.abspath(asked.shunt), asked.pack, folder)
        try:
            clients = Clients(port, asked.connections, REQUEST, b'HTTP/1.1 ')
            loader = Loader(admin, pack, asked.every)
            clients.run(asked.rate, 1.0)
            loader.load()
            print(f'{len(pack)} bytes, {asked.rate} requests/s, rounds of {asked.seconds:g} s')
            found = {'quiet': [], 'loads': []}
            for number in range(asked.rounds):
                for name in ('quiet', 'loads') if number % 2 == 0 else ('loads', 'quiet'):
                    loader.during(name == 'loads')
                    times = clients.run(asked.rate, asked.seconds)
                    loads = loader.during(False)
                    p50, p99 = (percentile(times, part) for part in (0.5, 0.99))
                    found[name].append((p50, p99))
                    print(f'{name}: p50 {p50 * 1e6:6.0f} us  p99 {p99 * 1e6:6.0f} us  max {max(times) * 1e3:6.1f} ms'
                          + (f'  {len(loads)} loads of {statistics.median(loads) * 1e3:.0f} ms' if loads else ''))
            for at, what in enumerate(('p50', 'p99')):
                quiet, loads = (statistics.median(row[at] for row in found[name]) for name in ('quiet', 'loads'))
                print(f'{what}: {quiet * 1e6:.0f} us, with loads {loads * 1e6:.0f} us, {loads / quiet:.2f} x')
        finally:
            daemon.kill()
            daemon.wait()


def start(shunt, pack, folder):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    admin = os.path.join(folder, 'admin.sock')
    config = os.path.join(folder, 'shunt.toml')
    with open(config, 'w') as file:
        file.write(f'[admin]\nsocket = "{admin}"\n\n[[virtual]]\nname = "shop"\nlisten = "127.0.0.1:{port}"\n'
                   f'protocol = "http"\n\n[[virtual.rule]]\nname = "main"\npack = "{os.path.abspath(pack)}"\n')
    daemon = subprocess.Popen([shunt, 'run', '--config', config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if not daemon.stdout.readline():
        sys.exit('the daemon does not start: `shunt check` says why')
    return daemon, port, admin


class Loader:
    """Loads one version after the other, in a process of its own: this one measures."""

    def __init__(self, admin, pack, every):
        self.admin, self.pack, self.every = admin, pack, every
        self.version, self.end, self.process = multiprocessing.Value('i', 0), multiprocessing.Event(), None
        self.queue = multiprocessing.Queue()

    def load(self):
        self.version.value += 1
        number = self.version.value
        version = f'version = "{number // 100 % 9 + 1}.{number // 10 % 10}.{number % 10}"'.encode()
        pack = self.pack.replace(b'version = "1.0.0"', version)
        begin = time.perf_counter()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.admin)
            client.sendall(b'PUT /v1/rules/shop/main?allow-downgrade=true HTTP/1.1\r\nHost: shunt\r\nConnection: close\r\n'
                           + f'Content-Type: application/wasm\r\nContent-Length: {len(pack)}\r\n\r\n'.encode() + pack)
            answer = client.recv(4096)
        if not answer.startswith(b'HTTP/1.1 200'):
            sys.exit(f'a load is refused: {answer.decode()}')
        return time.perf_counter() - begin

    def during(self, wanted):
        """Begins or ends; gives the seconds that the loads took."""
        took = []
        if self.process:
            self.end.set()
            took = self.queue.get()
            self.process.join()
            self.process = None
        if wanted:
            self.end.clear()
            self.process = multiprocessing.Process(target=self.loads)
            self.process.start()
        return took

    def loads(self):
        took = []
        while not self.end.wait(self.every):
            took.append(self.load())
        self.queue.put(took)


def filled(component):
    """With a module beside that has functions until the whole is as long (WebAssembly 2.0, section 5.5)."""
    assert component.count(b'version = "1.0.0"') == 1, 'the pack has no version 1.0.0'
    functions = []
    while len(component) + sum(map(len, functions)) + 200 < SIZE:
        number = len(functions)
        # No locals; the argument multiplied by, and added to, numbers, with what it was.
        code = bytes([0, 0x20, 0])
        for step in range(128):
            code += bytes([0x41, number % 64, 0x6c, 0x41, step % 64, 0x6a, 0x20, 0, 0x73])
        functions.append(leb(len(code) + 1) + code + b'\x0b')
    count = leb(len(functions))
    module = (b'\0asm\x01\0\0\0' + section(1, bytes([1, 0x60, 1, 0x7f, 1, 0x7f]))
              + section(3, count + bytes(len(functions))) + section(10, count + b''.join(functions)))
    # A core module is section 1 of a component (Component Model, Binary.md).
    return component + section(1, module)


def section(number, content):
    return bytes([number]) + leb(len(content)) + content


def leb(number):
    out = b''
    while number >= 0x80:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


main()
