"""What servers offer: named, screened, judged, pinned, and kept from misleading anybody."""
