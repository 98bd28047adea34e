"""The backend: a small shop that believes what the front has signed, and each signature once.

    gunicorn --bind unix:/run/site/backend.sock --workers 4 --threads 16 backend:application

The Redis is the same for all machines: a request that was recorded at one of them is refused
by all others, too.
"""

import json
import math
import os
from urllib.parse import parse_qs

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from wsgiproxy import WSGIProxyMiddleware

HOST_NAME = os.environ.get("HOST_NAME", os.uname().nodename)


class RedisReplay:
    """Nonces in Redis; each is forgotten when its signature has run out."""

    def __init__(self, client):
        self.client = client

    def add(self, key, ttl):
        return bool(self.client.set(f"wsgiproxy:{key}", b"", nx=True, ex=math.ceil(ttl)))


database = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://redis.internal:6379/0"),
    # Without this, its client tries for seconds before it says that the server is gone.
    retry=Retry(NoBackoff(), 1),
    socket_timeout=1,
)


def shop(environ, start_response):
    """``POST /orders?number=N`` counts how often the order N came; all else tells what arrived."""
    number = parse_qs(environ["QUERY_STRING"]).get("number", [""])[0]
    told = {"host": HOST_NAME, "user": environ["REMOTE_ADDR"], "number": number}
    if environ["REQUEST_METHOD"] == "POST":
        told["times"] = database.incr(f"order:{number}")
    body = json.dumps(told).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


application = WSGIProxyMiddleware(
    shop,
    secret_file=os.environ.get("SECRET_FILE", "/etc/site/secret.txt"),
    replay=RedisReplay(database),
)
