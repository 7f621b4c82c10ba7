"""How long each layer of a network takes on a device, and from that any network of other widths."""
