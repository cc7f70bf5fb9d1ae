//! Topologies of real namespaces, links and processes for whole-system tests and the demo
