"""TLS contexts as the servers and clients here need them."""

from __future__ import annotations

import ssl


def server_context(certificate: str, key: str, client_ca: str = "", *, require_client: bool = False) -> ssl.SSLContext:
    """For a server with this certificate and key (PEM files).

    With `client_ca` clients may show a certificate, which then has to be one of that CA's; with
    `require_client` they must.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    # Our clients hardly ever resume a session, and a ticket costs as much as half a small request.
    context.num_tickets = 0
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    return context


def client_context(
    ca: str = "", certificate: str = "", key: str = "", *, ca_data: str = "", verify: bool = True
) -> ssl.SSLContext:
    """For a client that trusts `ca` (a PEM file) or `ca_data` (PEM text), else what the system trusts.

    `certificate` and `key` are PEM files to show when asked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca or ca_data:
        context.load_verify_locations(ca or None, cadata=ca_data or None)
    else:
        context.load_default_certs()
    if certificate:
        context.load_cert_chain(certificate, key or None)
    return context
