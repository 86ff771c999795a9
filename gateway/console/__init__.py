"""Pages for people: server-rendered, without scripts, behind a login of their own. They read through services."""
