"""Is everything connected and set right? Facts are read by a worker, judged by pure rules, kept as rows."""
