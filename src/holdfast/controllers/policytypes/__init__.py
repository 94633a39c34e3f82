"""ValidatingAdmissionPolicies: their status tells which expressions cannot be right for the kinds they are about."""
