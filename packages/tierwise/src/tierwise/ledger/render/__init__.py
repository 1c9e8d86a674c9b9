"""How a receipt looks: as plain text, in a terminal, as a page, and for machines."""
