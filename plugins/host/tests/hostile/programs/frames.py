"""A metric that speaks the frames itself, and ends as told by who imports it."""
import json, os, struct, sys

out = sys.stdout.buffer
MANIFEST = {"id": "bad", "version": "1", "title": "Bad", "description": "d", "required_fields": [], "config_schema": {}}
RESULT = {"schema": 1, "scalars": [{"id": "bad", "title": "Bad", "condition": "default", "value": 20, "n": 20, "ci": None, "primary": True}]}
HEAD = {"id": "bad", "condition": "default", "kind": "real", "values": [0, 160]}
VALUES = struct.pack("<20d", *[20] * 20)


def read():
    (length,) = struct.unpack("<I", sys.stdin.buffer.read(4))
    return sys.stdin.buffer.read(length % (1 << 31))


def send(message):
    text = json.dumps(message).encode()
    out.write(struct.pack("<I", len(text)) + text)
    out.flush()


def send_bytes(data, length=None):
    out.write(struct.pack("<I", (len(data) if length is None else length) | 1 << 31) + data)
    out.flush()


def scores(data=VALUES, **head):
    send({"scores": {**HEAD, **head}})
    send_bytes(data)


def serve(finish, update=lambda: None):
    send({"hello": {"abi": [1, 2], "manifests": [MANIFEST]}})
    while True:
        request = json.loads(read())
        if request == "finish":
            finish()
            return
        if "update" in request:
            read()
            update()
        send("done")


def result():
    send({"result": RESULT})
