"""SocketClient of trustgraph-base, idle between two calls on one socket.

It runs its event loop only inside calls: meanwhile it answers no ping, and sees no close.
"""

import os
import time

from trustgraph.api import SocketClient

from checks import TOKENS, URL, tell

client = SocketClient(URL, 60, TOKENS["key"])
flow = client.flow("default")
tell("before", flow.text_completion("be brief", "before").text)
socket = client._socket
time.sleep(float(os.environ["TOLLGATE_IDLE_SECONDS"]))
tell("after", flow.text_completion("be brief", "after").text)
# A close would have made it connect again.
tell("on the same socket", client._socket is socket)
client.close()
