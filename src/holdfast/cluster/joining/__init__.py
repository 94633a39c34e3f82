"""How a further machine becomes a node: what proves the cluster to it, and what proves it to the cluster.

As kubeadm does it. `discovery` finds out who vouches for the cluster, with nothing but a token and a hash;
`requests` asks for a certificate and waits for it; `credentials.obtain` is both, and what becomes of them on disk;
`tokens` is the cluster's side. Nothing here starts anything.
"""
