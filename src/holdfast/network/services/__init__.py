"""Services that work: cluster IPs, node ports and load balancer addresses, routed by the kernel to pods (D40-D51).

`routes` says what a Service and its EndpointSlices ask for, `rules` says it in nftables' words; both are pure.
`conntrack` and `machine` do; `router` follows the API and has it done. `load_balancers` gives services of that type
this machine's address.

On this machine it changes one nftables table of its own and, where there is no default route, one route for
the service range (R84). Two sysctls it needs are the pod network's doing: `net.ipv4.ip_forward`, and
`route_localnet` on the links of pods only, where the pods' table keeps pods from reaching 127.0.0.1 by it.
"""
