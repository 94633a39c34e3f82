"""Which of the kernel's settings change nothing for other pods.

Source: Kubernetes, k8s.io/pod-security-admission, policy/check_sysctls.go; pkg/kubelet/sysctl has the same ones.
"""

from __future__ import annotations

SAFE_SINCE = {
    0: (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    ),
    27: ("net.ipv4.ip_local_reserved_ports",),
    29: (
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    ),
    32: ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
}
"""By the minor version in which they were found to be safe."""
SAFE = frozenset(name for names in SAFE_SINCE.values() for name in names)
