"""A web server on loopback: no test needs the network."""

import contextlib
import functools
import http.server
import threading


class Server(http.server.ThreadingHTTPServer):
    """Says nothing of clients that have hung up, and waits for none."""

    daemon_threads = True

    def handle_error(self, *_):
        pass


@contextlib.contextmanager
def served(folder=".", answer=None):
    """Serve a folder, or let `answer` do what it likes with a request.

    Gives the address, which ends with a slash.
    """

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        if answer:

            def do_GET(self):
                answer(self)

            do_HEAD = do_CONNECT = do_GET

    handler = functools.partial(Handler, directory=str(folder))
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
