"""A Flask view that returns another web application, after a check of its own.

Flask passes the whole path on, so the view moves the prefix to ``SCRIPT_NAME``. A view sees
only those who are logged in; everybody else is sent to the login::

    UPSTREAM=http://localhost:3000 flask --app flask_view run --port 8080
"""

import os

from flask import Flask, redirect, request, session

from wsgiproxy import WSGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

app = Flask(__name__)
app.secret_key = os.environ.get("SESSION_KEY") or os.urandom(32)
reports = WSGIProxyApp(UPSTREAM, suppress_cookies=["session"])  # which is ours


@app.route("/reports/", defaults={"path": ""}, methods=METHODS)
@app.route("/reports/<path:path>", methods=METHODS)
def show_reports(path):
    if "user" not in session:
        return redirect("/login")
    request.environ["SCRIPT_NAME"] += "/reports"
    request.environ["PATH_INFO"] = request.environ["PATH_INFO"].removeprefix("/reports")
    return reports


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        session["user"] = request.form["user"]  # ask for a password here
        return redirect("/reports/")
    return '<form method="post"><input name="user"><button>Log in</button></form>'
