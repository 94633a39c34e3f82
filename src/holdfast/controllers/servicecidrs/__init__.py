"""ServiceCIDRs: ranges are ready once they are kept from going while services have addresses of theirs."""
