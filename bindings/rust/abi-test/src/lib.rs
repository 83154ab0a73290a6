//! Nothing: this package is its test, `tests/layout.rs`, and the build script that writes it.
