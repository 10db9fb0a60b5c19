"""Who acts: learners, roles with their permissions, tokens and one-time links."""
