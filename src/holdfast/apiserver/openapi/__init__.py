"""OpenAPI v3 and v2: what kubectl validates, patches and explains by (A29-A39).

Documents are made when first asked for, out of upstream's definitions and the resources that are served, and kept.
"""

from .documents import handle, v2_json, v2_protobuf, v3_document, v3_hash, v3_index

__all__ = ["handle", "v2_json", "v2_protobuf", "v3_document", "v3_hash", "v3_index"]
