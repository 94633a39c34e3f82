"""HTTP/1.1 connections, WebSocket and SPDY framing: bytes to requests and streams. Knows no Kubernetes."""
