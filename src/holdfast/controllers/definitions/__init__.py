"""CustomResourceDefinitions: accepts their names, establishes them, and clears away what is left when they go."""
