"""What objects are: a folder per API group, a file per kind; metadata, selectors, quantities; the schema; errors."""
