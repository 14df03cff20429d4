"""A gRPC server whose messages are bytes: ADDRESS stands for where it listens."""

from concurrent import futures
import threading

import grpc

cancelled = threading.Semaphore(0)


def unary(request, context):
    context.set_trailing_metadata((("x-trailing", "behind"),))
    return request


def metadata(request, context):
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", sent["x-sent"]),))
    context.set_trailing_metadata((("x-trailing-bin", sent["x-sent-bin"]),))
    return sent["x-sent"].encode()


def server_stream(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def client_stream(messages, context):
    return b"+".join(messages)


def both(messages, context):
    for message in messages:
        yield message * 2


def fails(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: \u00e4")


def fails_behind(request, context):
    yield b"first"
    context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone")


def slow(request, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait()
    cancelled.release()
    return b""


def was_cancelled(request, context):
    return b"yes" if cancelled.acquire(timeout=20) else b"no"


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Metadata": grpc.unary_unary_rpc_method_handler(metadata),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Both": grpc.stream_stream_rpc_method_handler(both),
    "Fails": grpc.unary_unary_rpc_method_handler(fails),
    "FailsBehind": grpc.unary_stream_rpc_method_handler(fails_behind),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
}

server = grpc.server(
    futures.ThreadPoolExecutor(max_workers=32),
    options=(("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)),
)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Calls", HANDLERS),))
server.add_insecure_port("ADDRESS")
server.start()
server.wait_for_termination()
