"""ClusterRoles with an aggregationRule: keeps their rules what the roles they gather say."""
