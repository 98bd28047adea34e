"""One connection of uvicorn that has gone over to WebSocket; it needs the package websockets."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["WebSocketProtocol"]


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """As uvicorn's, which logs an error about each handshake that is refused with a response."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._is_told = False
        self._serves = self.app
        self.app = self._serve

    async def _serve(self, *arguments: Any) -> None:
        await self._serves(*arguments)
        if self.close_sent:  # a refusal is a complete handshake, too
            self.handshake_complete = True

    def send_500_response(self) -> None:
        """Called for a handshake that gets no answer: by a failure, or by the end of the server."""
        if not self._is_told or self.initial_response or self.handshake_complete:
            super().send_500_response()
            return
        # To a balancer, a 500 is an answer of the application, and no reason to ask elsewhere.
        self.conn.send_response(self.conn.reject(503, "The server is ending."))
        self.transport.write(b"".join(self.conn.data_to_send()))

    def shutdown(self) -> None:
        """Called when the server begins to end; it refuses handshakes by itself."""
        if self._is_told:  # it is called again, for what is still there after a while
            return
        self._is_told = True
        is_refused = not self.handshake_complete
        super().shutdown()
        if is_refused:
            # What the application sends now fails, as when the client has left (ASGI 2.4).
            self.disconnected = self.handshake_complete = True
