"""A further machine of a cluster: how it becomes a node, what it does for itself, how it leaves.

As kubeadm does it. `discovery` finds out who vouches for the cluster, with nothing but a token and a hash;
`requests` asks for a certificate and waits for it; `credentials.obtain` is both, and what becomes of them on disk;
`tokens` is the cluster's side of that. `facts` is what the cluster tells of itself, `checks` what keeps a machine from
joining, `join` and `leave` are the two commands, `parts` what the machine does beside its agent.
"""
