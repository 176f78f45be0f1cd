"""Pages for people's browsers: uploads, short links, health."""
