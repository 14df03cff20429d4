"""A gRPC client: calls what calls_server.py serves at the address that it is given, and says what it got."""

import sys
import threading

import grpc

WITHIN = 30
channel = grpc.insecure_channel(
    sys.argv[1],
    options=(("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)),
)
unary = channel.unary_unary("/test.Calls/Unary")


def said(call):
    """The code and the details with which a call ends."""
    try:
        call()
        return "ended well"
    except grpc.RpcError as error:
        return f"{error.code().name} {error.details()}"


if sys.argv[2:] == ["away"]:
    print(said(lambda: unary(b"a", timeout=WITHIN)))
    sys.exit()

for size in (0, 5, 3 << 20):
    answer, call = unary.with_call(b"x" * size, timeout=WITHIN)
    assert answer == b"x" * size, size
    assert ("x-trailing", "behind") in call.trailing_metadata()
    assert call.code() == grpc.StatusCode.OK

sent = (("x-sent", "hello"), ("x-sent-bin", bytes(range(256))))
answer, call = channel.unary_unary("/test.Calls/Metadata").with_call(b"", metadata=sent, timeout=WITHIN)
assert answer == b"hello"
assert ("x-initial", "hello") in call.initial_metadata()
assert ("x-trailing-bin", bytes(range(256))) in call.trailing_metadata()

for count in (0, 1, 5000):
    answers = list(channel.unary_stream("/test.Calls/ServerStream")(b"%d" % count, timeout=WITHIN))
    assert answers == [b"%d" % number for number in range(count)], count

for count in (0, 1, 5000):
    messages = [b"%d" % number for number in range(count)]
    answer = channel.stream_unary("/test.Calls/ClientStream")(iter(messages), timeout=WITHIN)
    assert answer == b"+".join(messages), count

# Each message is sent when the answer to the one before is here.
answered = threading.Semaphore(1)


def messages():
    for number in range(50):
        answered.acquire()
        yield b"%d" % number


got = []
for answer in channel.stream_stream("/test.Calls/Both")(messages(), timeout=WITHIN):
    got.append(answer)
    answered.release()
assert got == [b"%d" % number * 2 for number in range(50)]

# Many at once.
calls = [unary.future(b"%d" % number * 1000, timeout=WITHIN) for number in range(300)]
assert [call.result() for call in calls] == [b"%d" % number * 1000 for number in range(300)]

print(said(lambda: channel.unary_unary("/test.Calls/Fails")(b"", timeout=WITHIN)))
behind = channel.unary_stream("/test.Calls/FailsBehind")(b"", timeout=WITHIN)
assert next(behind) == b"first"
print(said(lambda: next(behind)))
print(said(lambda: channel.unary_unary("/test.Calls/None")(b"", timeout=WITHIN)))

slow = channel.unary_unary("/test.Calls/Slow")
was_cancelled = channel.unary_unary("/test.Calls/WasCancelled")
print(said(lambda: slow(b"", timeout=0.5)))
assert was_cancelled(b"", timeout=WITHIN) == b"yes"
call = slow.future(b"")
assert unary(b"a", timeout=WITHIN) == b"a"
call.cancel()
assert was_cancelled(b"", timeout=WITHIN) == b"yes"
print("all calls")
