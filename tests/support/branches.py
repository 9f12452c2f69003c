"""Branches for the coordinator to call: a small HTTP server that remembers every call and answers as it is told."""

import collections
import http.server
import threading
import urllib.parse

Call = collections.namedtuple("Call", "path op branch_id gid trans_type method body headers")


class Branches:
    """answers[path] is a list of (status, body) used one after the other, the last for ever; 200 "{}" without one."""

    def __init__(self):
        self.calls = []
        self.answers = {}
        self._lock = threading.Lock()
        branches = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self):
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                status, answer = branches._take(Call(url.path, query.get("op"), query.get("branch_id"), query.get("gid"),
                                                     query.get("trans_type"), self.command, body, dict(self.headers)))
                data = answer.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _serve

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _take(self, call):
        with self._lock:
            self.calls.append(call)
            script = self.answers.get(call.path)
            if not script:
                return 200, "{}"
            return script.pop(0) if len(script) > 1 else script[0]

    def of(self, gid):
        """The calls for one transaction as "op branch_id", in order."""
        with self._lock:
            return [f"{call.op} {call.branch_id}" for call in self.calls if call.gid == gid]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
