"""WebOb as an HTTP client: the request that you make is the request that is sent.

No header is added, no redirect followed, and the body is read as it arrives. WebOb decodes paths:
if there has to be a ``%2F`` in one, say ``request.environ["REQUEST_URI"] = "/a%2Fb"``, too::

    python webob_client.py "http://localhost:3000/search?q=a%2Fb"
"""

import sys

from webob import Request

from wsgiproxy import proxy_exact_request

if __name__ == "__main__":
    request = Request.blank(sys.argv[1], headers={"Accept": "text/plain"})
    request.environ["webob.client.timeout"] = 10  # seconds
    response = request.get_response(proxy_exact_request)

    print(response.status)
    for name, value in response.headerlist:
        print(f"{name}: {value}")
    print(flush=True)
    for block in response.app_iter:
        sys.stdout.buffer.write(block)
