"""The sending end: signs a request, with the keys, the clock and a nonce."""

from __future__ import annotations

import base64
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ConfigurationError, ProxyError
from wsgiproxy.observe.warn import warn_once
from wsgiproxy.sansio.fields.content_digest import spooled, with_digest
from wsgiproxy.sansio.fields.envelope import Carried, Facts, client_path, client_query, seal
from wsgiproxy.sansio.fields.host import authority
from wsgiproxy.sansio.fields.signature import sign
from wsgiproxy.sansio.fields.signature_members import with_members
from wsgiproxy.sansio.keys import Keyring, base64url
from wsgiproxy.sansio.message import Request
from wsgiproxy.sansio.target import decoded
from wsgiproxy.secretloader import KeyFile

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Signer", "configured_signer", "declared_keys"]

#: Kinds of carried keys -> their names.
Declared = Mapping[str, tuple[str, ...]]


class Signer:
    """Stage 4: adds envelope and signature to a request that is otherwise complete.

    :param keys: returns the keys as they are now.
    :param declared: environ keys to carry, by their types.
    :param covers_body: read the body and cover it, or 413 above
        :data:`~wsgiproxy.sansio.fields.content_digest.LARGEST_BODY` bytes; else it is streamed.
    """

    def __init__(
        self,
        keys: Callable[[], Keyring],
        declared: Declared | None = None,
        *,
        covers_body: bool = False,
    ) -> None:
        self.keys = keys
        self._declared = {kind: names for kind, names in (declared or {}).items() if names}
        self.covers_body = covers_body

    def seal(
        self,
        environ: WSGIEnvironment,
        facts: Facts,
        scheme: str,
        request: Request,
        body: Iterator[bytes] | None,
    ) -> tuple[Iterator[bytes] | None, Request]:
        """The request with envelope and signature, and its body.

        :param environ: the original request.
        :param facts: the facts for the envelope, which are the same for many requests.
        :param scheme: of the upstream.
        :param request: the request to send; Host is its first field.
        :param body: its blocks.
        :raises ProxyError: a carried key cannot be carried.
        """
        headers, digest = request.headers, ""
        if body is not None and self.covers_body:
            data = spooled(body)
            body = iter([data])
            headers, digest = with_digest(headers, data)
            size = len(data) if request.chunked else request.content_length
            request = request._replace(chunked=False, content_length=size)
        components = self._components(environ, facts, scheme, request)
        if digest:
            components["content-digest"] = digest
        nonce = base64url(os.urandom(12))
        key = self.keys().signer()
        fields = sign(components, key, created=int(time.time()), nonce=nonce)
        headers = with_members([*headers, ("WSGIProxy", components["wsgiproxy"])], fields)
        return body, request._replace(headers=headers)

    def _components(
        self, environ: WSGIEnvironment, facts: Facts, scheme: str, request: Request
    ) -> dict[str, str]:
        target, mark, query = request.target.partition("?")
        components = {
            "@method": request.method,
            "@authority": authority(request.headers[0][1], scheme),
            "@query": f"?{query}",
            "wsgiproxy": self._envelope(environ, facts, target + mark, query),
        }
        if facts.traversal_path:
            components["x-traversal-path"] = facts.traversal_path
        if facts.traversal_query:
            components["x-traversal-query-string"] = facts.traversal_query
        return components

    def _envelope(self, environ: WSGIEnvironment, facts: Facts, target: str, query: str) -> str:
        path_info, client = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
        follows = decoded(client_path(target, facts.traversal_path)) == path_info
        same = client_query(query, facts.traversal_query) == client
        return seal(
            facts.json,
            target,
            path_info=None if follows else path_info,
            query=None if same else client,
            carried=self._carried(environ) if self._declared else None,
        )

    def _carried(self, environ: WSGIEnvironment) -> Carried:
        carried: Carried = {
            kind: {name: environ[name] for name in names if name in environ}
            for kind, names in self._declared.items()
        }
        for name, value in carried.get("pickle", {}).items():
            try:
                data = pickle.dumps(value)
            except Exception as error:  # an object may raise anything when it is pickled
                raise ProxyError(f"the carried key {name!r} cannot be pickled: {error}") from error
            carried["pickle"][name] = base64.b64encode(data).decode("ascii")
        return carried


def declared_keys(settings: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The environ keys to carry, by their types.

    :param settings: the rows of :data:`wsgiproxy.settings.SIGNING`.
    :raises ConfigurationError: one of them twice, or pickle without ``allow_pickle``.
    """
    declared = {
        "string": settings["string_keys"],
        "text": settings["unicode_keys"],
        "json": settings["json_keys"],
        "pickle": settings["pickle_keys"],
    }
    names = [name for some in declared.values() for name in some]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"{name!r} is to be carried twice: expected one type for it")
    if settings["pickle_keys"] and not settings["allow_pickle"]:
        raise ConfigurationError(
            f"pickle_keys={settings['pickle_keys']!r}: expected allow_pickle=True beside it, here"
            " and at the backend; json_keys need neither"
        )
    return declared


def configured_signer(settings: Mapping[str, Any], *, watches: bool = True) -> Signer | None:
    """The signer, if there is a secret.

    :param settings: the rows of :data:`wsgiproxy.settings.SIGNING`.
    :param watches: look for changes of the file.
    :returns: None without a ``secret_file``.
    :raises ConfigurationError: as :func:`declared_keys` says.
    """
    declared = declared_keys(settings)
    if settings["secret_file"] is None:
        return None
    file = KeyFile(settings["secret_file"], signs=True)
    if settings["pickle_keys"]:
        warn_once("allow_pickle=True: any holder of the secret can run code at the backend")
    keys = file.keyring()
    return Signer(
        file.keyring if watches else lambda: keys, declared, covers_body=settings["sign_body"]
    )
