"""`nfs:` volumes (V90-V96): mounted by the kernel where it can, else served by a process in user space.

`plan` decides what is to be mounted, `table` reads what is, `kernel` and `served` mount, `plugin` joins them.
"""
