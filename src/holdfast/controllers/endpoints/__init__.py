"""EndpointSlices, and Endpoints for older readers: the pods behind each service that has a selector."""
