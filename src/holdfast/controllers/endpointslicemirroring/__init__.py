"""Hand-made Endpoints of services without a selector, as the EndpointSlices that everything else reads (D31)."""
