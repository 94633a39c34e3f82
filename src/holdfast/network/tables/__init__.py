"""Tables of rules, whatever they are for.

`table` keeps a whole table as text and tells what changed; it is pure, as is `families`, which says what is said
otherwise for IPv6. `nftables` does, `applying` has it done off the event loop, and `tampering` tells whether somebody
else was at the table.
"""
