"""How long it takes until something can be used."""
