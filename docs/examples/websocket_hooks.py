"""Messages of WebSockets that are read and changed on their way.

What the client says is counted and sent on; what the upstream says loses its secrets, and a message
that is not for the client does not arrive::

    UPSTREAM=http://localhost:3000 uvicorn --no-proxy-headers --port 8080 websocket_hooks:app
"""

import json
import os

from wsgiproxy.asgi import ASGIProxyApp


async def counted(messages):
    """Each WebSocket has its own call, and so its own number."""
    number = 0
    async for message in messages:  # a str or bytes, as it was sent
        number += 1
        yield message
        if number == 100:
            yield json.dumps({"note": "a hundred messages"})


async def without_secrets(messages):
    async for message in messages:
        if isinstance(message, bytes):
            yield message
            continue
        event = json.loads(message)
        if event.get("kind") != "internal":
            event.pop("token", None)
            yield json.dumps(event)


app = ASGIProxyApp(
    os.environ.get("UPSTREAM", "http://localhost:3000"),
    messages_from_client=counted,
    messages_from_upstream=without_secrets,
)
