"""The asyncio side of the transport: it waits by await."""
