"""The cause of a failure, in the words of the system or of OpenSSL."""

from __future__ import annotations

import re
import ssl

__all__ = ["first_cause", "words_of"]


def first_cause(error: BaseException) -> BaseException:
    """The exception at the beginning of a chain of exceptions."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def words_of(error: BaseException) -> str:
    """The message of an error in one line, without numbers and classes.

    >>> words_of(ConnectionRefusedError(111, "Connection refused"))
    'connection refused'
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    text = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    # OpenSSL's words come as "[SSL: NAME] words (_ssl.c:1002)" or "_ssl.c:1002: words".
    text = " ".join(re.sub(r"\[.*?\]|\(?_ssl\.c:\d+[:)]", "", str(text)).split())
    return text[:1].lower() + text[1:]
