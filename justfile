# What CI runs.
check:
    bin/test

# Formats everything.
fmt:
    cargo fmt --all

# Licences, advisories and duplicate versions; needs cargo-deny, so it stays outside CI.
deny:
    cargo deny check

# One tree to unpack anywhere, with the binary as it is shipped: bin/dist.
dist *ARGS:
    bin/dist {{ARGS}}

# Benchmarks of the hot loops.
bench *ARGS:
    cargo bench {{ARGS}}

# Druid's clustering page on this machine: bin/cluster-demo --help tells the options.
cluster-demo *ARGS:
    bin/cluster-demo {{ARGS}}
