"""An NFS 4.1 client in user space, and the file system it shows through FUSE, for kernels without an NFS client.

`xdr` and `rpc` carry calls, `session` makes them exactly-once and waits for servers that are away, `client` has
the operations on files. `fuse` speaks the kernel's protocol, `filesystem` joins the two, `mount` is the process that
one mount is served by. Nothing here knows Kubernetes.

Sources: RFC 5531 (ONC RPC), RFC 4506 (XDR), RFC 8881 (NFS 4.1), Linux include/uapi/linux/fuse.h.
"""

FILE_SYSTEM = "fuse.nfs4"
"""What the mount table calls it."""
