"""HTTP in, objects out: discovery, OpenAPI, verbs, watch, patches, tables, authentication, admission, streams."""
