"""Who may do what: permissions and roles, members, admin keys, people and their sessions."""
