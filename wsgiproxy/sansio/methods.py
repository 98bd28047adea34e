"""What methods promise: which of them are safe, and which may be sent twice.

It knows the methods of the IANA registry; one that is not in it promises nothing.
"""

from __future__ import annotations

from wsgiproxy.sansio.fields.names import words

__all__ = ["IDEMPOTENT", "REGISTERED", "SAFE"]

#: Methods that ask for nothing but an answer (RFC 9110, 9.2.1), so that a server may be asked
#: twice, with the same content. CONNECT and TRACE never get as far; PRI is no method to send.
SAFE = words("GET HEAD OPTIONS PROPFIND QUERY REPORT SEARCH")

#: Methods of which two have the effect of one (RFC 9110, 9.2.2): the column "Idempotent" of
#: https://www.iana.org/assignments/http-methods. Not LOCK, PATCH and POST.
IDEMPOTENT = SAFE | words(
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY DELETE LABEL LINK MERGE MKACTIVITY "
    "MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PROPPATCH PUT REBIND UNBIND "
    "UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
)

#: All methods of that registry which may be proxied.
REGISTERED = IDEMPOTENT | words("LOCK PATCH POST")
