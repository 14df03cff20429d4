"""Clients for the scripts beside it: requests at a constant rate over connections that stay open."""
import select
import socket
import sys
import time


class Clients:
    """Connections that are used in turn, in one thread that waits for nothing but the next event."""

    def __init__(self, port, number, request, answer):
        """`answer` is how each answer begins; answers fit into one segment."""
        self.request, self.answer = request, answer
        self.poll = select.epoll()
        self.sockets, self.waiting = {}, {}
        for _ in range(number):
            client = socket.create_connection(('127.0.0.1', port))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            self.sockets[client.fileno()] = client
            self.poll.register(client, select.EPOLLIN)
        self.idle = list(self.sockets)

    def run(self, rate, seconds):
        """Gives the seconds that each request took, from the moment when it was to be sent."""
        begin, sent, times = time.perf_counter() + 0.01, 0, []
        number = int(rate * seconds)
        late = []
        while len(times) < number:
            now = time.perf_counter()
            while sent < number and begin + sent / rate <= now:
                late.append(begin + sent / rate)
                sent += 1
            while late and self.idle:
                key = self.idle.pop()
                self.waiting[key] = late.pop(0)
                self.sockets[key].send(self.request)
            rest = begin + sent / rate - time.perf_counter() if sent < number else 1
            for key, _ in self.poll.poll(max(rest, 0)):
                if not self.sockets[key].recv(65536).startswith(self.answer):
                    sys.exit('a connection broke')
                times.append(time.perf_counter() - self.waiting.pop(key))
                self.idle.append(key)
        return times


def percentile(times, part):
    return sorted(times)[int(part * (len(times) - 1))]
