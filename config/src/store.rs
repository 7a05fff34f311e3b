//! The configuration on flash (cli.md 2.5).
