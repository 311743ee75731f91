"""Programs on the machine with a page to open here: what each is, how it is had and started."""
