//! The binary as a user runs it: specs in, exit codes, messages and run folders out.

mod bad_input;
mod golden;
mod identity;
mod kills;
mod smoke;
mod support;
