"""Bootstrap tokens: what newcomers are told is signed with each of them, and those that are over go. `plan` decides."""
