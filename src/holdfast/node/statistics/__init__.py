"""What pods, their containers and the node use, measured when somebody asks, in the kubelet's two forms.

`sampling` measures, `summary` and `exposition` write it down, `machine` reads what the node as a whole has used.
"""
