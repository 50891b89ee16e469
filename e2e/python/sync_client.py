"""SocketClient of trustgraph-base against Tollgate."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Barrier

from trustgraph.api import Api, ProtocolException, SocketClient
from trustgraph.api.exceptions import TrustGraphException

from checks import CALLS, TOKENS, URL, WRONG, answers, tell, told, words


def use(name, token):
    client = SocketClient(URL, 30, token)
    flow = client.flow("default")
    tell(f"{name}: call", flow.text_completion("be brief", "hello").text)
    tell(f"{name}: workspace", client.workspace)

    request = {"prompt": "raw", "mine": [1, None]}
    tell(f"{name}: raw call", client._send_request_sync("text-completion", "default", request))

    stream = flow.text_completion("be brief", "one two three", streaming=True)
    tell(f"{name}: stream", words(stream))
    tell(f"{name}: agent", answers(flow.agent("who are you", streaming=True)))

    # One socket: a hundred streams, each begun before any is read to its end.
    texts = [f"call {number}" for number in range(CALLS)]
    streams = [flow.text_completion("be brief", text, streaming=True) for text in texts]
    begun = [next(stream) for stream in streams]
    rest = zip(begun, streams)
    results = ["".join(chunk.content for chunk in chain([first], more)) for first, more in rest]
    tell(f"{name}: streams at once", len(results) if results == texts else results)

    try:
        client._send_request_sync("no-such-service", "default", {})
    except TrustGraphException as error:
        tell(f"{name}: unknown service", error.error_type)
    client.close()

    # An instance belongs to one thread, so each thread has its own.
    barrier = Barrier(CALLS)

    def call(text):
        client = SocketClient(URL, 30, token)
        flow = client.flow("default")
        first = flow.text_completion("be brief", "ready").text
        barrier.wait(60)
        second = flow.text_completion("be brief", text).text
        client.close()
        return second if first == "ready" else first

    with ThreadPoolExecutor(CALLS) as threads:
        results = list(threads.map(call, texts))
    tell(f"{name}: calls at once", len(results) if results == texts else results)


for name, token in TOKENS.items():
    use(name, token)
client = SocketClient(URL, 30, WRONG)
try:
    client.flow("default").text_completion("", "never")
except ProtocolException as error:
    tell("wrong token", told(error))
# The same client, with a good token: its next call connects again.
client.token = TOKENS["jwt"]
tell("after a wrong token", client.flow("default").text_completion("", "again").text)
client.close()

for name, token in TOKENS.items():
    api = Api(URL, token=token, workspace="acme")
    tell(f"{name}: over HTTP", api.flow().id("default").text_completion("", "hello").text)
try:
    Api(URL, token=WRONG).flow().id("default").text_completion("", "never")
except ProtocolException as error:
    tell("wrong token over HTTP", told(error))
