"""Ways to the pods of the cluster's other machines: a route to each of their slices, by their own addresses.

No tunnel: what pods send each other is passed on as it is, which takes machines that share a link (as flannel's
`host-gw`). Where they do not, that is said, and nothing is set up that would only look like a way.

`plan` decides, purely; `kernel` reads and writes routes; `keeper` follows the Nodes and has it done.
"""
