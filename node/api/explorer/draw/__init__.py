"""The geometry of the pictures: numbers in, coordinates out; the templates write the SVG. Pure."""
