"""The API over plain HTTP, one connection per client, for what no finished client library lets a test see."""

from __future__ import annotations

import http.client
import json
import ssl
from urllib.parse import urlencode, urlsplit

JSON = "application/json"


class Answer:
    """Status, headers and the decoded body of an answer."""

    def __init__(self, code, headers, body):
        self.code, self.headers, self.body = code, headers, body

    @property
    def version(self):
        return self.body["metadata"]["resourceVersion"]


class Watch:
    """The events of a watch, one at a time; on a connection of its own, closed at the end of a `with`."""

    def __init__(self, connection, response):
        self._connection, self._response = connection, response
        self.headers = response.headers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._response.close()
        self._connection.close()

    def __iter__(self):
        return self

    def __next__(self):
        line = self._response.readline()
        if not line:
            raise StopIteration
        return json.loads(line)

    def until(self, holds):
        """All events up to the first for which `holds`, that one included."""
        events = []
        for event in self:
            events.append(event)
            if holds(event):
                return events
        raise AssertionError(f"the watch ended early: {events}")


class Api:
    """Requests to one API server as the holder of a token."""

    def __init__(self, url, token, ca, patience_s=90):
        self._address = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {token}", "Accept": JSON}
        self._tls = ssl.create_default_context(cafile=str(ca))
        self._patience_s = patience_s
        self._connection = self._connect()

    def _connect(self):
        return http.client.HTTPSConnection(self._address, context=self._tls, timeout=self._patience_s)

    def request(self, method, path, body=None, *, media_type=JSON, accept=JSON, **query):
        """The answer, whatever its status; `query` members are the parameters, True and False as Go writes them."""
        text = None if body is None else json.dumps(body)
        headers = {**self._headers, "Accept": accept, **({"Content-Type": media_type} if text else {})}
        self._connection.request(method, path + _query(query), text, headers)
        response = self._connection.getresponse()
        content = response.read()
        return Answer(response.status, response.headers, json.loads(content))

    def get(self, path, **query):
        return self._done(self.request("GET", path, **query), 200)

    def create(self, path, body, **query):
        return self._done(self.request("POST", path, body, **query), 201)

    def replace(self, path, body, **query):
        return self._done(self.request("PUT", path, body, **query), 200)

    def merge(self, path, body, **query):
        return self._done(self.request("PATCH", path, body, media_type="application/merge-patch+json", **query), 200)

    def delete(self, path, **query):
        return self._done(self.request("DELETE", path, **query), 200)

    def watch(self, path, *, accept=JSON, **query):
        connection = self._connect()
        headers = {**self._headers, "Accept": accept}
        connection.request("GET", path + _query({"watch": True, **query}), headers=headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return Watch(connection, response)

    def close(self):
        self._connection.close()

    def _done(self, answer, code):
        assert answer.code == code, answer.body
        return answer


def _query(parameters):
    written = {name: str(value).lower() if isinstance(value, bool) else value for name, value in parameters.items()}
    return f"?{urlencode(written)}" if written else ""
