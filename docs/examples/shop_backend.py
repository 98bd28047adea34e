"""A backend for ``two_backends.py``: it wants its key, and keeps what each shop has sent.

It knows no passwords: who has the key may say who the user is::

    KEY=first waitress-serve --listen 127.0.0.1:3000 shop_backend:app
"""

import os
import secrets

from flask import Flask, abort, request, url_for

KEY = os.environ["KEY"].encode()

app = Flask(__name__)
kept = {}


@app.before_request
def only_with_the_key():
    if not secrets.compare_digest(request.headers.get("X-API-Key", "").encode(), KEY):
        abort(401)


@app.get("/shops/<shop>/<service>")
def all_of_them(shop, service):
    return {"user": request.headers["X-User"], "entries": kept.get((shop, service), [])}


@app.post("/shops/<shop>/<service>")
def add(shop, service):
    entries = kept.setdefault((shop, service), [])
    entries.append(request.get_json())
    place = url_for("one", shop=shop, service=service, number=len(entries))
    return entries[-1], 201, {"Location": place}


@app.get("/shops/<shop>/<service>/<int:number>")
def one(shop, service, number):
    entries = kept.get((shop, service), [])
    return entries[number - 1] if 0 < number <= len(entries) else abort(404)
