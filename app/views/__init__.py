"""The pages: thin, they ask services for data and lay it out."""
