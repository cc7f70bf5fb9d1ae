//! Bindings to the DPDK that pkg-config names, with C shims for its inline functions
