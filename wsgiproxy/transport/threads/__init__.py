"""The thread side of the transport: it waits by poll."""
