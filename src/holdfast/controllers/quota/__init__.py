"""The quota controller: what is used of each ResourceQuota, as its status says. The API server counts for itself."""
