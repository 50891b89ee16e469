"""One socket through every credential, with the websockets package that trustgraph-base brings."""

import json

from websockets.sync.client import connect

from checks import TOKENS, URL, WRONG, tell


def ask(socket, frame):
    socket.send(json.dumps(frame))
    return json.loads(socket.recv(timeout=30))


def auth(socket, token):
    return ask(socket, {"type": "auth", "token": token})


def call(socket, id):
    request = {"prompt": f"call {id}"}
    frame = {"id": id, "service": "text-completion", "flow": "default", "request": request}
    answer = ask(socket, frame)
    return [answer["id"], answer.get("response", answer.get("error"))]


with connect(URL.replace("http", "ws", 1) + "api/v1/socket") as socket:
    tell("before", call(socket, 1)[1]["type"])
    tell("wrong first", auth(socket, WRONG))
    tell("still outside", call(socket, 2)[1]["type"])
    good = auth(socket, TOKENS["key"])
    tell("good after wrong", [good["type"], good["default_workspace"], good["workspace"]])
    tell("inside", call(socket, 3)[1]["response"])
    tell("wrong after good", auth(socket, WRONG)["type"])
    tell("still inside", call(socket, 4)[1]["response"])
    tell("another credential", auth(socket, TOKENS["jwt"])["type"])
    tell("inside again", call(socket, 5)[1]["response"])
