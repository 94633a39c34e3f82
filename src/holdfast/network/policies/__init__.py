"""NetworkPolicies that hold: the kernel drops what they do not allow, of pods of this machine.

`policy` and `pods` read what the API says, `rules` says it in nftables' words, and `book` knows whom a change concerns;
all four are pure. `kept` has one table in the kernel, `keeper` follows the API and brings the tables up to date. A new
pod waits for that before it has a link (`network.pods.gate`).
"""
