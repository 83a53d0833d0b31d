"""Sign a request that shall be kept, so that nobody else can ask for it."""
