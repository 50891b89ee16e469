"""AsyncSocketClient of trustgraph-base against Tollgate."""

import asyncio
import json

from trustgraph.api import AsyncSocketClient, ProtocolException
from trustgraph.api.exceptions import TrustGraphException

from checks import CALLS, TOKENS, URL, WRONG, answers, tell, told, words


async def use(name, token):
    async with AsyncSocketClient(URL, 30, token) as client:
        tell(f"{name}: workspace", client.workspace)
        flow = client.flow("default")
        tell(f"{name}: call", (await flow.text_completion("be brief", "hello")).text)

        request = {"prompt": "raw", "mine": [1, None]}
        tell(f"{name}: raw call", await client._send_request("text-completion", "default", request))

        stream = await flow.text_completion("be brief", "one two three", streaming=True)
        tell(f"{name}: stream", words([chunk async for chunk in stream]))
        stream = await flow.agent("who are you", streaming=True)
        tell(f"{name}: agent", answers([chunk async for chunk in stream]))

        texts = [f"call {number}" for number in range(CALLS)]
        calls = [flow.text_completion("be brief", text) for text in texts]
        results = [result.text for result in await asyncio.gather(*calls)]
        tell(f"{name}: calls at once", len(results) if results == texts else results)

        try:
            await client._send_request("no-such-service", "default", {})
        except TrustGraphException as error:
            tell(f"{name}: unknown service", error.args[0]["type"])

        # The class has no method for it: the frame goes beside its calls, and it must not mind
        # the answer.
        running = asyncio.gather(*(flow.text_completion("be brief", text) for text in texts))
        await client._socket.send(json.dumps({"type": "auth", "token": TOKENS["jwt"]}))
        after = (await flow.text_completion("be brief", "after")).text
        results = [result.text for result in await running]
        tell(f"{name}: new credential under way", after if results == texts else results)


async def main():
    for name, token in TOKENS.items():
        await use(name, token)
    client = AsyncSocketClient(URL, 30, WRONG)
    try:
        await client.connect()
    except ProtocolException as error:
        tell("wrong token", told(error))
    # The same client, with a good token: its next call connects again.
    client.token = TOKENS["key"]
    tell("after a wrong token", (await client.flow("default").text_completion("", "again")).text)
    await client.aclose()


asyncio.run(main())
