"""The table of findings: what is said of a stack, depending on the facts about it.

A condition is a list of facts (:mod:`wsgiproxy.sansio.diagnosis.facts`) that must hold; those with
``-`` before them must not. The same facts fill the braces of the texts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["BAD", "CHECKS", "CURES", "ELSEWHERE", "NGINX", "OK", "SOURCES", "TOPICS", "WARN"]
__all__ += ["Check", "Found", "first", "holds"]

OK, WARN, BAD = "ok", "warn", "bad"


class Found(dict[str, Any]):
    """Facts by name; one that is not there is empty."""

    def __missing__(self, name: str) -> str:
        return ""


def holds(condition: str, facts: Found) -> bool:
    """Whether all facts of a condition are so; one with ``-`` before it must not be.

    >>> holds("a -b", Found(a=1)), holds("a -b", Found(a=1, b=1)), holds("", Found())
    (True, False, True)
    """
    return all(bool(facts[name.lstrip("-")]) != name.startswith("-") for name in condition.split())


def first(rows: tuple[tuple[str, str], ...], facts: Found) -> str:
    """The text of the first row whose condition holds."""
    return next(text.format_map(facts) for condition, text in rows if holds(condition, facts))


class Check(NamedTuple):
    """A possible finding."""

    topic: str
    condition: str
    level: str
    sentence: str
    cure: str = ""


# fmt: off
#: The topics in the order of the report, and the condition of all findings of each.
TOPICS = {
    "installation": "", "answer": "observed", "version": "other_version",
    "signature": "secret_file", "refused": "answered -secret_file status",
    "trust": "answered -secret_file",
    "everybody": "believing everybody", "unannounced": "trust_ips -require_forwarded",
    "authorities": "secret_file public -authorities", "clock": "answered",
    **dict.fromkeys(["client", "scheme", "host", "prefix"], "answered -status"),
    "mount": "mounted -status", "fields": "unused", "carried": "lost_keys",
    "application": "-status", "forgery": "", "underscores": "", "twice": "-unanswered", "path": "",
}
_HOW = (
    "At the backend: app = {middleware}(app, secret_file=FILE), with the file of"
    " --secret-file. Where trust_ips is used instead, doctor_file=FILE beside it."
)
_WHO = "{middleware} {version} answered (Python {python}{software}); it "
_GIVE = "Give the proxy the key file: {front}(href, secret_file=...)."
_ITSELF = "you may have asked the backend itself. Ask the address of the proxy."
_LOST = "The application takes {seen!r} for the client; the doctor asks from {asked!r}."
_UNLIKE = "You asked for {asked!r}, but the application sees {seen!r}"
_SURPLUS = _UNLIKE + ": its links have {surplus!r} too much."
_TAKE_OFF = "take it off, or tell none and use pop_prefix."
_SILENT = "It came from {peer!r}, which is trusted, but told nothing about the client"
_REACH = "Whoever can reach the backend without the proxy can forge everything."
_FORGE = "A client can forge its {believed_text}: the application believes what we made up."
_UNSEEN = "Whether forged fields are believed cannot be seen while it refuses."
_MAYBE = (
    "We are believed, since we ask from {us!r}, an address that is trusted as a proxy. To know"
    " what others can forge, ask from another machine."
)
_UNANSWERED = "The question {what} was not answered: {answer}."
_KEPT_OUT = "Something refuses the question {what} ({answer}), and keeps it out."
_TWICE = "{middleware} is applied twice, one inside of the other"
_ONCE = "Apply it once, outermost."
_NTP = "Let both machines keep time by NTP"
_LOG = "The same line is in the log of the backend"

#: For each topic, the first row whose condition holds is the finding.
CHECKS = (
    Check("installation", "clash_text", BAD, "{where}: {clash_text}",
          "pip uninstall WSGIProxy2, and then: pip install --force-reinstall --no-deps"
          " 'wsgiproxy>=1' (or the folder of a clone). In this order, since uninstalling WSGIProxy2"
          " deletes files of this package. For what requires WSGIProxy2, install"
          " docs/examples/wsgiproxy2, which has its name and no modules."),
    Check("installation", "", OK, "Nothing is wrong with the installation of wsgiproxy {here}."),
    Check("answer", "unanswered fault", BAD, "Nothing answers: {fault}.",
          "Start it, or ask elsewhere."),
    Check("answer", "unanswered -keyid", BAD, "Something answers with {http}. What arrived there,"
          " the middleware tells only to those who have its key file.",
          "Ask again with --secret-file FILE."),
    Check("answer", "unanswered location", BAD, "It redirects to {location!r} ({http}).",
          "Ask that address."),
    Check("answer", "unanswered http_400", BAD, "It answers with 400: the request was refused on"
          " its way.", "Ask by the name that is used otherwise."),
    Check("answer", "unanswered http_401", BAD, "It answers with 401: a login is in front of it.",
          "Give what gets you in: --header 'Authorization: ...' or --header 'Cookie: ...'"),
    Check("answer", "unanswered http_403", BAD, "It answers with 403: it is refused, and the"
          " question was not understood. If the backend has {middleware}, its key"
          " file is not ours, or something on the way removes headers, X-Doctor among them.", _HOW),
    Check("answer", "unanswered http_407", BAD, "It answers with 407: a proxy on the way wants a"
          " login.", "Ask from a machine that needs none."),
    Check("answer", "unanswered no_backend", BAD, "It answers with {http}: the proxy is there, but"
          " not the backend.", "Start the backend; look at the proxy's log."),
    Check("answer", "unanswered http_504", BAD, "It answers with 504: the backend is too slow.",
          "Look at the backend's log."),
    Check("answer", "unanswered", BAD, "It answers with {http}, but not the middleware: there is"
          " none, or its key file has no key {keyid!r}, or something on the way removes the field"
          " X-Doctor.", _HOW),
    Check("answer", "secret_file", OK, _WHO + "has a secret_file, and believes what is signed."),
    Check("answer", "trust_ips", OK, _WHO + "believes {family} of the peers in trust_ips."),
    Check("answer", "counts", OK, _WHO + "counts proxies as ProxyFix does ({family})."),
    Check("answer", "nothing", OK, _WHO + "believes nobody."),
    Check("answer", "", OK, _WHO + "has an unknown mode."),
    Check("version", "", WARN, "The backend has version {version!r}, and this is {here!r}.",
          "Install the same version on both sides."),
    Check("signature", "-status verified", OK, "The signature is right; it was made with key"
          " {verified!r}."),
    Check("signature", "-status", WARN, "The request is not signed, and unsigned='strip' lets it"
          " in. The application knows nothing about its clients.", _GIVE),
    Check("signature", "inner", BAD, "{refusal}", f"{_TWICE}. {_ONCE}"),
    Check("signature", "reason_not_signed -announced", BAD, "{refusal}",
          f"Nothing that a proxy adds is there: {_ITSELF}"),
    Check("signature", "reason_not_signed", BAD, "{refusal}", f"{_GIVE} If it has it, something"
          " between the two removes the headers WSGIProxy, Signature and Signature-Input."),
    Check("signature", "dropped", BAD, "{refusal}", "The front signs, but its header {dropped} did"
          " not arrive. Look between the two for what removes it: proxy_set_header {dropped} \"\""
          " of nginx, a list of headers that may pass, or a limit on the length of a header"
          " (WSGIProxy has up to 8000 characters)."),
    Check("signature", "reason_no_such", BAD, "{refusal}",
          "Copy the key file of the front to the backend: both must hold this key."),
    Check("signature", "reason_created", BAD, "{refusal}", f"{_NTP}."),
    Check("signature", "reason_wrong_signature", BAD, "{refusal}", "Either the two sides have"
          " different keys of one name, or something between them changes Host, method or query."
          " {line_keep_host}"),
    Check("signature", "reason_signed_for", BAD, "{refusal}",
          "Something between the two changes the path. {line_keep_path}"),
    Check("signature", "reason_the_body", BAD, "{refusal}",
          "Set sign_body on both sides, or on neither."),
    Check("signature", "reason_the_store", BAD, "{refusal}",
          "Look after the store that replay= names; until then nothing is let in."),
    Check("signature", "", BAD, "{refusal}", f"{_LOG}."),
    Check("refused", "inner", BAD, "{refusal}", f"{_TWICE}. {_ONCE}"),
    Check("refused", "", BAD, "{refusal}", f"{_LOG}, as wsgiproxy.error."),
    Check("trust", "nothing -announced", OK, "Nobody is believed, and nobody has told anything."),
    Check("trust", "nothing", BAD, "A proxy has told the backend about the client, but the backend"
          " believes nobody.", "If {peer!r} is your proxy: {middleware}(app,"
          " trust_ips={peer!r}). Or, if it is {front}, the same secret_file on both sides."),
    Check("trust", "-peer_trusted -announced", OK, "It came from {peer!r}, which is not trusted,"
          " and told nothing."),
    Check("trust", "-peer_trusted", BAD, "It came from {peer!r}, which is not in trust_ips: nothing"
          " that it tells is believed.", "If {peer!r} is your proxy, add it to trust_ips."),
    Check("trust", "client_announced", OK, "It came from {peer!r}, which is trusted."),
    Check("trust", "waitress -client_passes", BAD, _SILENT + ": its {client_field} did not arrive."
          " The server here is waitress, which removes these fields unless it is told otherwise.",
          f"waitress.serve(app, clear_untrusted_proxy_headers=False): then the middleware sees them"
          f" and believes the peers in trust_ips alone. Or leave it to waitress (trusted_proxy,"
          f" trusted_proxy_headers), and give the middleware no trust_ips. If nothing is in front"
          f" of it, {_ITSELF}"),
    Check("trust", "other_family", BAD, _SILENT + " in {client_field}, which is read here; its"
          " {other_field} is not.", "{middleware}(app, trust_ips=...,"
          " family={other_family!r}), if the proxy sets or removes all fields of that family; or"
          " let it send {client_field}."),
    Check("trust", "removed", BAD, _SILENT + ": something on the way removes {client_field}, also"
          " where the doctor sends it.",
          "Look at the server of the backend, and at its proxy, for what removes it."),
    Check("trust", "", BAD, _SILENT + ".",
          "If that is your proxy, let it send {client_field}. {line_client} Otherwise " + _ITSELF),
    Check("everybody", "counts", WARN, _REACH,
          "Name the proxy in trust_ips beside the counts, or use a secret_file."),
    Check("everybody", "", WARN, _REACH, "Name the proxy in trust_ips, or use a secret_file."),
    Check("unannounced", "", WARN, "A trusted peer that tells nothing about the client is taken for"
          " the client itself: one malformed line is enough to make some servers lose the fields.",
          "{middleware}(app, ..., require_forwarded=True) refuses such requests."),
    Check("authorities", "", WARN, "The backend verifies by a public key, and does not know its own"
          " names: another backend of the same front can send it the requests that it has got"
          " itself.", "{middleware}(app, ..., authorities=[...]), with the host and port by"
          " which the front asks this backend."),
    Check("clock", "seconds", WARN, "The backend's clock is {seconds} {how} {other}.",
          f"{_NTP}; signatures are good for seconds only."),
    Check("clock", "", OK, "The clocks agree."),
    Check("client", "same own_is_loopback", WARN, "The application sees {seen!r} ({source}), and"
          " you ask from the same machine: that may be you, and it may be a proxy that is taken for"
          " you.", "Ask from another machine to know whether clients keep their addresses."),
    Check("client", "same", OK, "The application sees your address, {seen!r} ({source})."),
    Check("client", "lost", BAD, _LOST, "{cure}"),
    Check("client", "", WARN, _LOST, "With a network address translator between, that is right."),
    Check("scheme", "same", OK, "It sees the scheme {seen!r} ({source})."),
    Check("scheme", "", BAD, "You asked by {asked!r}, but the application sees {seen!r}: its links"
          " and redirects lead there, and cookies marked Secure may be missing.", "{cure}"),
    Check("host", "same", OK, "It sees the host {seen!r} ({source})."),
    Check("host", "", BAD, _UNLIKE + ": its links and redirects lead there.", "{cure}"),
    Check("prefix", "same", OK, "It lives {home} ({source})."),
    Check("prefix", "lacks", BAD, _UNLIKE + " and thinks that it lives {home}: its links lack"
          " {lacks!r}.", "{cure}"),
    Check("prefix", "surplus field_prefix", BAD, _SURPLUS, f"{{field}} says {{field_prefix!r}}, but"
          f" the proxy does not take that off the path. Let it {_TAKE_OFF}"),
    Check("prefix", "surplus", BAD, _SURPLUS,
          f"The proxy tells a prefix that it does not take off the path. Let it {_TAKE_OFF}"),
    Check("path", "rewritten field_prefix", BAD, _UNLIKE + ": {field} says {field_prefix!r}, which"
          " does not begin that path.",
          "What writes {field} must name the path at which clients find the application."),
    Check("path", "rewritten", BAD, _UNLIKE + ": something rewrites it.",
          "Look for rewrite rules between the two."),
    Check("mount", "", BAD, "The middleware is inside of a mount at {mounted!r}, and undoes it: the"
          " application is asked for {seen_path!r} instead of {arrived_path!r}, and may answer"
          " 404.",
          "Put {middleware} outermost, around the DispatcherMiddleware or what mounts."),
    Check("fields", "", OK, "Arrived as well, and count for nothing: {unused}."),
    Check("carried", "", WARN, "The front hands over {lost_text}, which the backend drops.",
          "{middleware}(app, ..., accept_keys={lost_keys!r})"),
    Check("application", "inner inner_status", BAD, f"{_TWICE}, and the inner one refuses what the"
          f" outer one lets in ({{inner_reason}}).", _ONCE),
    Check("application", "inner", WARN, f"{_TWICE}.", _ONCE),
    Check("application", "fault", WARN, _UNANSWERED),
    Check("application", "http_401", OK, "The application asks for a login ({http})."),
    Check("application", "http_404", WARN, "The application answers a request of this address with"
          " 404; it was asked for {seen_path!r} below {prefix!r}.",
          "If there should be a page, look for a mount inside of which the middleware is, and for a"
          " path that something rewrites."),
    Check("application", "http_error", WARN, "The application answers a request of this address"
          " with {http}.",
          "That comes from the application itself, or from what is around it: look at its log."),
    Check("application", "", OK, "The application answers with {http}."),
    Check("forgery", "unanswered kept_out", OK, _KEPT_OUT),
    Check("forgery", "unanswered", WARN, _UNANSWERED),
    Check("forgery", "forged_status -status", OK, "Forged fields make the backend refuse:"
          " {forged_reason}."),
    Check("forgery", "forged_status", WARN, _UNSEEN),
    Check("forgery", "-believed", OK, "Forged X-Forwarded-*, Forwarded and X-Script-Name have no"
          " effect."),
    Check("forgery", "everybody counts", BAD, _FORGE,
          "Ask the proxy, not the backend; and count no more proxies than there are."),
    Check("forgery", "everybody", BAD, _FORGE,
          "Name the address of the proxy in trust_ips, or use a secret_file."),
    Check("forgery", "-secret_file -us", WARN, _UNSEEN),
    Check("forgery", "-secret_file -announced", WARN, _MAYBE,
          "That is as it should be if only proxies have this address."),
    Check("forgery", "-secret_file -only_appended", BAD, _FORGE,
          "The proxy in front passes on what clients write. It must set these fields itself, or"
          " remove them. {line_host}"),
    Check("forgery", "may_be_us", WARN, _MAYBE,
          "Name no more in trusted_proxies and trust_ips than proxies."),
    Check("forgery", "", BAD, _FORGE, "{front} believes the peer: name no more than your"
          " proxies in trusted_proxies. If a proxy is in front of it, that one must set these"
          " fields itself."),
    Check("underscores", "unanswered kept_out", OK, _KEPT_OUT),
    Check("underscores", "unanswered", WARN, _UNANSWERED),
    Check("underscores", "believed announced", BAD, "X_Forwarded_For passes for X-Forwarded-For,"
          " and is believed: a client can forge it.", "Let the proxy drop names with underscores"
          " (nginx: underscores_in_headers off; HAProxy: option http-restrict-req-hdr-names"
          " delete), or use a secret_file."),
    Check("underscores", "-passes", OK, "Names with underscores are dropped on the way:"
          " X_Forwarded_For passes for nothing."),
    Check("underscores", "", OK, "Names with underscores get through, and WSGI cannot tell X_User"
          " from X-User. X_Forwarded_For and its like are removed."),
    Check("twice", "both", OK, "A field that comes twice arrives as one list."),
    Check("twice", "", WARN, "Of a field that comes twice, {kept}: two servers may read one request"
          " differently."),
    Check("path", "all_exact", OK, "Odd paths (%2F, //, ;a=b, non-ASCII) arrive byte for byte."),
    Check("path", "unanswered kept_out", OK, _KEPT_OUT),
    Check("path", "unanswered", WARN, _UNANSWERED),
    Check("path", "tidied", WARN, "We asked for {tail!r}, but the application sees {whole!r}:"
          " something tidies it up.", "{line_keep_path}"),
    Check("path", "slash -exact", WARN, "The application cannot tell %2F from a slash: a server on"
          " the way keeps no raw path.", "Look at the server of the backend{software}; some keep it"
          " as REQUEST_URI or RAW_URI. Most applications do not mind."),
    Check("path", "slash", OK, "The application can tell %2F from a slash."),
    Check("path", "", OK, "Paths with //, with ;a=b and with other than ASCII arrive byte for"
          " byte."),
)

#: Condition and text: from where the application has its value. The first that holds counts.
SOURCES = (
    ("fixed", "by the setting {fixed}"),
    ("verified", "signed"),
    ("peer_trusted field_value", "by {field}"),
    ("", "from the connection itself"),
)
_FRONT = (
    "{front} was told so by its own server. If another proxy is in front of it, name that one"
    " in trusted_proxies, and let it send the X-Forwarded-* fields."
)
#: Condition and text: what gives the application the right value. The first that holds counts.
CURES = (
    ("fixed", "The setting {fixed} of {middleware} says so; is it still right?"),
    ("verified home",
     "Whatever takes the prefix off in front of {front} must tell it: by SCRIPT_NAME (WSGI),"
     " root_path (ASGI) or else X-Forwarded-Prefix, and be named in trusted_proxies."),
    ("verified", _FRONT),
    ("-believing", "{middleware} with trust_ips or secret_file restores it."),
    ("by_front field_value", _FRONT),
    ("-field", "No field of this family tells it; a setting of {middleware} can."),
    ("field_value", "{field} says {field_value!r}; what writes it has to be told better."),
    ("line", "Let the proxy send {field}. {line}"),
    ("", "Let the proxy send {field}."),
)
#: Name of a fact, or of what has to be kept, and the line that configures nginx (docs/trust.rst).
NGINX = {
    "client": "nginx: proxy_set_header X-Forwarded-For $remote_addr;",
    "scheme": "nginx: proxy_set_header X-Forwarded-Proto $scheme;",
    "host": "nginx: proxy_set_header X-Forwarded-Host $http_host;",
    "prefix": "nginx: proxy_set_header X-Forwarded-Prefix /the/path;",
    "keep_host": "nginx: proxy_set_header Host $http_host;",
    "keep_path": "nginx: give proxy_pass no path at its end, and set merge_slashes off.",
}
#: The same where another server is in front: nginx puts its own name into the field Server.
ELSEWHERE = {
    **dict.fromkeys(NGINX, "docs/trust.rst shows it for nginx and HAProxy."),
    "keep_host": "Look there for what rewrites Host.",
    "keep_path": "Look between the two for what rewrites paths.",
}
# fmt: on
