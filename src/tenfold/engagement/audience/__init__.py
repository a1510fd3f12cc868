"""Who the users are: profiles, user properties, segments."""
