"""A model server on loopback that speaks OpenAI's and Anthropic's HTTP APIs, for tests.

Owns deterministic answers: what a request asks for in its last message is what it gets, so a test
says in the prompt what the model does. Never thinks. One invariant: equal requests get equal
answers, but for `flaky`, which fails once for each token.

The last user message is a script: `say TEXT`, `call TOOL JSON`, `fail STATUS`, `flaky TOKEN TEXT`,
`slow TEXT`; words of `say` come one by one when the request streams.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Reported for every chat completion.
PROMPT_TOKENS, COMPLETION_TOKENS = 120, 30


class ModelServer:
    """Where the model is, and what it was asked."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.requests: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.failed_once: set[str] = set()
        self.lock = threading.Lock()


class _Failure(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"scripted failure {status}")
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    model: ModelServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.model.lock:
            self.model.requests.append((self.path, body, dict(self.headers)))
        try:
            if self.path.endswith("/embeddings"):
                self._json(_embeddings(body))
            elif self.path.endswith("/messages"):
                self._anthropic(body)
            else:
                self._openai(body)
        except _Failure as failure:
            error = {"error": {"message": str(failure), "type": "scripted", "code": "scripted"}}
            self._json(error, failure.status)

    def _openai(self, body: dict[str, Any]) -> None:
        message = self._answer(body["messages"])
        usage = {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        }
        finish = "tool_calls" if "tool_calls" in message else "stop"
        common = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": body["model"]}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish}
            self._json({**common, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        self._stream_head()
        for delta in _deltas(message):
            self._chunk(common, [{"index": 0, "delta": delta, "finish_reason": None}])
        self._chunk(common, [{"index": 0, "delta": {}, "finish_reason": finish}])
        if (body.get("stream_options") or {}).get("include_usage"):
            self._chunk(common, [], usage)
        self._piece("data: [DONE]\n\n")
        self._piece("")

    def _anthropic(self, body: dict[str, Any]) -> None:
        message = self._answer(body["messages"])
        blocks, stop_reason = _blocks(message), "end_turn"
        if message.get("tool_calls"):
            stop_reason = "tool_use"
        usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS}
        answer = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": blocks,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": usage,
        }
        if not body.get("stream"):
            self._json(answer)
            return
        self._stream_head()
        nothing = {"content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        self._event("message_start", message={**answer, **nothing})
        for index, block in enumerate(blocks):
            self._block(index, block)
        delta = {"stop_reason": stop_reason, "stop_sequence": None}
        self._event("message_delta", delta=delta, usage={"output_tokens": COMPLETION_TOKENS})
        self._event("message_stop")
        self._piece("")

    def _block(self, index: int, block: dict[str, Any]) -> None:
        """One block of an Anthropic stream, its text word by word."""
        if block["type"] == "text":
            empty = {**block, "text": ""}
            deltas = [{"type": "text_delta", "text": w} for w in _words(block["text"])]
        else:
            empty = {**block, "input": {}}
            whole = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": whole}]
        self._event("content_block_start", index=index, content_block=empty)
        for delta in deltas:
            self._event("content_block_delta", index=index, delta=delta)
        self._event("content_block_stop", index=index)

    def _event(self, kind: str, **told: Any) -> None:
        self._piece(f"event: {kind}\ndata: {json.dumps({'type': kind, **told})}\n\n")

    def _answer(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        last = messages[-1]
        if last["role"] == "tool":
            return {"role": "assistant", "content": f"The tool said {last['content']}"}
        if (result := _tool_result(last["content"])) is not None:
            return {"role": "assistant", "content": f"The tool said {result}"}
        verb, _, rest = _text(last["content"]).partition(" ")
        match verb:
            case "fail":
                raise _Failure(int(rest))
            case "flaky":
                token, _, text = rest.partition(" ")
                with self.model.lock:
                    first = token not in self.model.failed_once
                    self.model.failed_once.add(token)
                if first:
                    raise _Failure(503)
                return {"role": "assistant", "content": text}
            case "slow":
                time.sleep(0.3)
                return {"role": "assistant", "content": rest}
            case "call":
                name, _, arguments = rest.partition(" ")
                function = {"name": name, "arguments": arguments or "{}"}
                call = {"id": "call_1", "type": "function", "function": function}
                return {"role": "assistant", "content": None, "tool_calls": [call]}
        return {"role": "assistant", "content": rest or "yes"}

    def _json(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream_head(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, common: dict[str, Any], choices: list[Any], usage: Any = None) -> None:
        chunk = {**common, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
        self._piece(f"data: {json.dumps(chunk)}\n\n")

    def _piece(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _words(text: str) -> list[str]:
    return [word + " " for word in text.split(" ") if word]


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message as Anthropic's API has it."""
    calls = [call["function"] for call in message.get("tool_calls", ())]
    if not calls:
        return [{"type": "text", "text": message.get("content") or ""}]
    return [
        {
            "type": "tool_use",
            "id": f"toolu_{number}",
            "name": call["name"],
            "input": json.loads(call["arguments"]),
        }
        for number, call in enumerate(calls)
    ]


def _tool_result(content: Any) -> str | None:
    """What a tool returned, in Anthropic's form of a message; None for other messages."""
    if isinstance(content, list):
        for part in content:
            if part.get("type") == "tool_result":
                return _text(part["content"])
    return None


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for number, call in enumerate(message.get("tool_calls", ())):
        yield {"tool_calls": [{"index": number, **call}]}
    for word in _words(message.get("content") or ""):
        yield {"content": word}


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [
        {"object": "embedding", "index": number, "embedding": [0.1, 0.2]}
        for number, _ in enumerate(texts)
    ]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


@contextmanager
def running_model() -> Iterator[ModelServer]:
    """A model server for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    model = ModelServer(server)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"model": model})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
