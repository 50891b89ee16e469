"""Every public method of the clients of trustgraph-base, against services that the test plays.

A newer package may have more methods, or more arguments that must be given: these are called or
fail, and the test in Rust sees something that it did not expect.

What fails in 2.11.1 against any server: the queries by embedding of FlowInstance (they look for a
dict where their own embeddings() gives a list), the prompt() of AsyncSocketFlowInstance (looks for
the text under another name) and Config.get_values_all_workspaces (no gateway serves it).
"""

import asyncio
import dataclasses
import datetime
import inspect
import os
import tempfile

from trustgraph.api import Api, ConfigKey, ConfigValue
from trustgraph.api.types import DocumentMetadata

from checks import TOKENS, URL, tell

FILE = os.path.join(tempfile.mkdtemp(), "document")
DOCUMENT = DocumentMetadata(
    id="doc-1", time=datetime.datetime.fromtimestamp(1_700_000_000), kind="text/plain",
    title="One", comments="", metadata=[], tags=[],
)

# What is given for an argument of that name, wherever one must be given.
ARGUMENTS = {
    "blueprint_name": "everything", "class_name": "everything", "collection": "books",
    "comments": "none", "data_type": "csv", "definition": {"flow": {}}, "description": "mine",
    "document": b"hello", "document_id": "doc-1", "documents": [{"document_id": "1"}],
    "fields": {"age": {}}, "file_path": FILE, "flow_id": "mine", "id": "mine", "image": b"x",
    "keys": [ConfigKey(type="mine", key="k")], "metadata": DOCUMENT, "mime_type": "image/png",
    "model": "words", "name": "clock", "parameters": {"zone": "UTC"}, "parent_id": "doc-1",
    "prompt": "hello", "queries": [{"query_id": "1"}], "query": "who", "question": "who",
    "questions": {"go": {}}, "sample": "a,b", "schema_name": "people", "state": {"a": 1},
    "system": "be brief", "text": "one", "texts": ["one"], "title": "One", "type": "mine",
    "upload_id": "up-1", "values": [ConfigValue(type="mine", key="k", value="v")],
    "variables": {"about": "it"},
}
# Where a name means something else.
OTHERWISE = {
    "Library.add_document": {"metadata": None},
    "FlowInstance.load_text": {"text": b"one"},
}
# What asks nothing.
PLUMBING = {"request", "id", "close", "aclose", "connect", "flow"}


def plain(value):
    """A result as JSON, with the name of its class if it has one."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.asdict(value).items()
        return {type(value).__name__: {k: plain(v) for k, v in fields if v not in (None, [], "")}}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.timestamp()
    return value


def calls(client):
    """The methods of a client with the arguments that they need; streaming, if they can."""
    for name, method in inspect.getmembers(client, inspect.ismethod):
        if name.startswith("_") or name in PLUMBING:
            continue
        called = f"{type(client).__name__}.{name}"
        parameters = inspect.signature(method).parameters.values()
        needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
        given = {n: OTHERWISE.get(called, ARGUMENTS).get(n, ARGUMENTS.get(n)) for n in needed}
        yield called, method, given
        if any(p.name == "streaming" for p in parameters):
            yield f"{called} streaming", method, {**given, "streaming": True}


def use(client):
    for called, method, given in calls(client):
        try:
            result = method(**given)
            tell(called, plain(list(result) if inspect.isgenerator(result) else result))
        except Exception as error:
            tell(called, {type(error).__name__: str(error)})


async def use_async(client):
    for called, method, given in calls(client):
        try:
            result = method(**given)
            if inspect.isawaitable(result):
                result = await result
            if inspect.isasyncgen(result):
                result = [chunk async for chunk in result]
            tell(called, plain(result))
        except Exception as error:
            tell(called, {type(error).__name__: str(error)})


def fail(name, call):
    """A service's own error, as each client shows it."""
    try:
        result = call("fail")
        tell(name, plain(list(result) if inspect.isgenerator(result) else result))
    except Exception as error:
        tell(name, {type(error).__name__: str(error)})


async def main_async(api):
    socket = api.async_socket()
    await use_async(socket.flow("default"))
    await use_async(api.async_flow())
    await use_async(api.async_flow().id("default"))
    # Neither looks for an error inside a response: one is an empty text, the other an empty chunk.
    flow = socket.flow("default")
    tell("fail: async", plain(await flow.text_completion("be brief", "fail")))
    stream = await flow.text_completion("be brief", "fail", streaming=True)
    tell("fail: async stream", [plain(chunk) async for chunk in stream])
    await api.aclose()


api = Api(URL, token=TOKENS["key"], workspace="acme")
for client in [api.flow(), api.flow().id("default"), api.config(), api.library(), api.knowledge(),
               api.collection(), api.socket(), api.socket().flow("default")]:
    use(client)
rest, flow = api.flow().id("default"), api.socket().flow("default")
fail("fail: REST", lambda prompt: rest.text_completion("be brief", prompt))
# It looks for an error inside a response only while it streams.
fail("fail: sync", lambda prompt: flow.text_completion("be brief", prompt))
fail("fail: sync stream", lambda prompt: flow.text_completion("be brief", prompt, streaming=True))
fail("fail: sync agent", lambda prompt: flow.agent(prompt, streaming=True))
api.close()
asyncio.run(main_async(Api(URL, token=TOKENS["key"])))
