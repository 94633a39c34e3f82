"""Puts the parts together: data directory, certificates, kubeconfig; starts, supervises and stops them in order."""
