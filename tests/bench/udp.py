#!/usr/bin/env python3
"""What a datagram costs a UDP proxy: processor time of Shunt and of nginx (module stream), one worker each.

Clients keep some datagrams in flight between themselves and a member that answers each; the time that the proxy's threads
ran (schedstat) is divided by the datagrams that it moved, both ways. Rounds take turns.

  ./udp.py --shunt ../../target/release/shunt
  ./udp.py --shunt ../../target/release/shunt --case one-shot --rounds 5

  session   64 clients, 8 datagrams of 100 bytes in flight each
  single    64 clients, one datagram in flight each: none to be merged with
  one-shot  each question from a port of its own, one answer: DNS
"""
import argparse
import glob
import os
import select
import socket
import statistics
import subprocess
import tempfile
import time

from peers import nginx_conf

SIZE = 100


def member(sock):
    """Answers every datagram, in a process of its own."""
    while True:
        data, sender = sock.recvfrom(2048)
        sock.sendto(data, sender)


def ran(pid):
    """Nanoseconds that the threads of a process ran."""
    total = 0
    for path in glob.glob(f'/proc/{pid}/task/*/schedstat'):
        with open(path) as f:
            total += int(f.read().split()[0])
    return total


def session(address, seconds, clients=64, flight=8):
    """Datagrams that came back."""
    poll, socks, data = select.epoll(), {}, b'x' * SIZE
    for _ in range(clients):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(address)
        sock.setblocking(False)
        poll.register(sock, select.EPOLLIN)
        socks[sock.fileno()] = sock
        for _ in range(flight):
            sock.send(data)
    done, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        ready = poll.poll(0.05)
        if not ready:
            # What was lost is sent anew.
            for sock in socks.values():
                sock.send(data)
        for fd, _ in ready:
            sock = socks[fd]
            try:
                for _ in range(flight):
                    sock.recv(2048)
                    done += 1
                    sock.send(data)
            except BlockingIOError:
                pass
    return done


def single(address, seconds):
    return session(address, seconds, flight=1)


def one_shot(address, seconds, flight=64):
    poll, socks, data = select.epoll(), {}, b'x' * SIZE

    def ask():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(address)
        sock.setblocking(False)
        poll.register(sock, select.EPOLLIN)
        socks[sock.fileno()] = sock
        sock.send(data)

    for _ in range(flight):
        ask()
    done, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        ready = poll.poll(0.05)
        if not ready:
            for sock in socks.values():
                sock.send(data)
        for fd, _ in ready:
            sock = socks.pop(fd)
            sock.recv(2048)
            sock.close()
            done += 1
            ask()
    return done


def nginx(env, port, case):
    responses = 'proxy_responses 1;' if case == 'one-shot' else ''
    return nginx_conf(env, f'udp-{case}', f'''stream {{ server {{
  listen 127.0.0.1:{port} udp; proxy_pass 127.0.0.1:{env['member']}; proxy_timeout 30s; {responses}
}} }}''', 'ngx_stream_module')


def shunt(env, port, case):
    path = f"{env['work']}/shunt-{case}.toml"
    with open(path, 'w') as f:
        f.write(f'''
[process]
workers = 1
[admin]
socket = "{env['work']}/{case}.sock"
[[virtual]]
name = "udp"
listen = "127.0.0.1:{port}"
protocol = "udp"
pool = "members"
{'udp = { one-shot = true }' if case == 'one-shot' else ''}
[[pool]]
name = "members"
members = [{{ address = "127.0.0.1:{env['member']}" }}]
''')
    return [env['shunt'], 'run', '--config', path]


def worker(pid):
    """The process that serves: nginx has a master."""
    with open(f'/proc/{pid}/task/{pid}/children') as f:
        children = f.read().split()
    return int(children[-1]) if children else pid


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--shunt', required=True)
    p.add_argument('--case', choices=['session', 'single', 'one-shot'], action='append')
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--seconds', type=float, default=2)
    args = p.parse_args()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind(('127.0.0.1', 0))
    echo = os.fork()
    if echo == 0:
        member(sock)
    with tempfile.TemporaryDirectory() as work:
        env = {'work': work, 'member': sock.getsockname()[1], 'shunt': os.path.abspath(args.shunt)}
        try:
            for case in args.case or ['session', 'single', 'one-shot']:
                cost = {}
                for _ in range(args.rounds):
                    for name, start, port in (('shunt', shunt, 19101), ('nginx', nginx, 19102)):
                        proxy = subprocess.Popen(start(env, port, case), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                        time.sleep(0.5)
                        pid = worker(proxy.pid)
                        load = {'session': session, 'single': single, 'one-shot': one_shot}[case]
                        load(('127.0.0.1', port), 0.3)
                        before = ran(pid)
                        done = load(('127.0.0.1', port), args.seconds)
                        took = ran(pid) - before
                        proxy.terminate()
                        proxy.wait()
                        cost.setdefault(name, []).append((took / max(1, 2 * done), 2 * done / args.seconds))
                ns = {name: statistics.median(it[0] for it in rounds) for name, rounds in cost.items()}
                for name, rounds in cost.items():
                    print(f"{case:9} {name:6} {ns[name]:7.0f} ns a datagram "
                          f"({min(r[0] for r in rounds):.0f}-{max(r[0] for r in rounds):.0f}), "
                          f"{statistics.median(r[1] for r in rounds):9.0f} a second")
                print(f"{case:9} shunt / nginx {ns['shunt'] / ns['nginx']:.2f}", flush=True)
        finally:
            os.kill(echo, 15)
            os.waitpid(echo, 0)


if __name__ == '__main__':
    main()
