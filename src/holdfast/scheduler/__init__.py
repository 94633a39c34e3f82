"""Pods to nodes: filters, scores, one binding.

`plan.decide` is the pure decision about one pod; `controller.Scheduler` keeps the view of nodes, waits for what
may change a decision, and binds. It is a client of the API like any other, without a controller's keys: a decision
about one pod must see what was decided for the one before.
"""
