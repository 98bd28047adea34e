"""A login in front of an internal tool, which learns who it is from a signed request.

Nothing reaches the tool before the login. ``REMOTE_USER`` is signed with a key that both ends
have, so that the tool need not believe whoever finds its port; ``internal_tool.py`` is the other
end. Make the key by ``wsgiproxy keygen secret.txt``, then::

    SECRET_FILE=secret.txt TOOL=http://localhost:3000 PASSWORD=choose-one \
        gunicorn --threads 8 --bind 127.0.0.1:8080 login_in_front:app
"""

import os

from flask import Flask, redirect, request, session
from werkzeug.security import check_password_hash, generate_password_hash

from wsgiproxy import WSGIProxyApp

TOOL = os.environ.get("TOOL", "http://localhost:3000")
SECRET_FILE = os.environ.get("SECRET_FILE", "secret.txt")
# Name and hash; ask your directory or database instead.
USERS = {"bob": generate_password_hash(os.environ["PASSWORD"])}
NOBODY = generate_password_hash(os.urandom(16).hex())

app = Flask(__name__, static_folder=None)
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"  # and SESSION_COOKIE_SECURE, behind https
app.secret_key = os.environ.get("SESSION_KEY") or os.urandom(32)
tool = WSGIProxyApp(
    TOOL,
    secret_file=SECRET_FILE,
    string_keys=["REMOTE_USER"],
    suppress_cookies=["session"],  # it is ours: no tool should be able to use or to set it
)


@app.before_request
def tool_for_those_who_are_logged_in():
    if request.path == "/-/login":
        return None
    if "user" not in session:
        return redirect("/-/login")
    request.environ["REMOTE_USER"] = session["user"]
    return tool


@app.route("/-/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        user = request.form["user"]
        if not check_password_hash(USERS.get(user, NOBODY), request.form["password"]):
            return "Wrong name or password.", 403
        session.clear()
        session["user"] = user
        return redirect("/")
    fields = '<input name="user"><input name="password" type="password"><button>Log in</button>'
    return f'<form method="post">{fields}</form>'
